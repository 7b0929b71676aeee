"""The whole path batched for a GPU: photos are decoded by threads, looked at together, cut by threads, embedded together."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.errors import PhotoRefused
from workers.faces import decode
from workers.faces.detect import ManyDetector, Mode, look_at_many
from workers.faces.embed import Embedder
from workers.faces.pipeline import WANT_PX, FacePipeline, Reading
from workers.faces.values import Decoded

A = TypeVar("A")
B = TypeVar("B")

LOOKED_AT_TOGETHER = 64
"""While the detector looks at so many, the next are decoded."""


class BatchPipeline(FacePipeline):
    """A :class:`workers.faces.pipeline.FacePipeline` for many photos at once, with the same results.

    Pillow lets other threads run while it decodes, resizes and encodes. Not to be shared by threads at one time.

    Args:
        detector: Looks at many photos at once.
        embedder: As elsewhere.
        max_pixels: Photos of more are refused.
        threads: One for each core.
    """

    def __init__(
        self, detector: ManyDetector, embedder: Embedder, *, max_pixels: int, threads: ThreadPoolExecutor
    ) -> None:
        super().__init__(detector, embedder, max_pixels=max_pixels)
        self._many = detector
        self._threads = threads

    def read_all(self, photos: Sequence[bytes], mode: Mode) -> list[Reading | PhotoRefused]:
        """See :meth:`workers.faces.pipeline.FacePipeline.read_all`."""
        coming = [self._threads.submit(self._decoded, data, mode) for data in photos]
        found: list[Reading | PhotoRefused] = []
        for start in range(0, len(photos), LOOKED_AT_TOGETHER):
            block = [future.result() for future in coming[start : start + LOOKED_AT_TOGETHER]]
            found += self._looked_at(photos[start : start + len(block)], block, mode)
        return found

    def each(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """See :meth:`workers.faces.pipeline.FacePipeline.each`."""
        return list(self._threads.map(work, items))

    def _decoded(self, data: bytes, mode: Mode) -> tuple[Decoded | PhotoRefused, float]:
        """The photo or why there is none, and how long that took in seconds."""
        started = time.perf_counter()
        try:
            decoded: Decoded | PhotoRefused = decode.decode(data, max_pixels=self.max_pixels, want_px=WANT_PX[mode])
        except PhotoRefused as refused:
            decoded = refused
        return decoded, time.perf_counter() - started

    def _looked_at(
        self, photos: Sequence[bytes], block: Sequence[tuple[Decoded | PhotoRefused, float]], mode: Mode
    ) -> list[Reading | PhotoRefused]:
        started = time.perf_counter()
        good = [decoded for decoded, _ in block if isinstance(decoded, Decoded)]
        sightings = iter(look_at_many(self._many, good, mode))
        detect_s = (time.perf_counter() - started) / max(len(good), 1)
        found: list[Reading | PhotoRefused] = []
        for data, (decoded, decode_s) in zip(photos, block, strict=True):
            if isinstance(decoded, PhotoRefused):
                found.append(decoded)
                continue
            reading = Reading(data, decoded, next(sightings), self.max_pixels)
            reading.decode_s, reading.detect_s = decode_s, detect_s
            found.append(reading)
        return found
