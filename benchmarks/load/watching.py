"""Memory watched while something goes on."""

import threading
import time
from collections import defaultdict
from types import TracebackType
from typing import Self

import numpy as np

from benchmarks.running import Service

_EVERY_S = 5.0


class Watching:
    """Resident memory of each part, summed over its processes, every few seconds within the ``with`` block."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def slopes_mb(self, *, after_s: float) -> dict[str, float]:
        """MB in ten minutes by part: a straight line through what was seen from *after_s* on."""
        found = {}
        for part, seen in self._seen.items():
            late = np.array([each for each in seen if each[0] >= after_s])
            if len(late) > 2:
                found[part] = float(np.polyfit(late[:, 0], late[:, 1], 1)[0]) * 600.0
        return found

    def last_mb(self, part: str) -> float:
        """What a part needed when the block ended."""
        return self._seen[part][-1][1]

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            for part, sizes in self._service.resident_mb().items():
                self._seen[part].append((time.monotonic() - self._began, sum(sizes)))
