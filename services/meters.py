"""Meters: what a process counts and times between two times that it writes it down for everybody (:mod:`services.catalog.running.meters`).

Several processes and machines add up there, and what was written survives all of them. A process that is killed loses what it
had not written yet: a few seconds' worth.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

PHOTOS = "photos"
"""Photos that workers have ended, by outcome: ``done``, ``duplicate``, or the reason why it was rejected."""
FACES = "faces"
"""Faces that were embedded to be found."""
COMMITTED_S, FINDABLE_S = "photo_committed_seconds", "photo_findable_seconds"
"""From a photo's arrival until its faces are in the catalog, and until a searcher finds them."""

BUCKETS_S = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
SUM, ANY = "sum", "+Inf"

Counts = Mapping[tuple[str, str], float]
"""By name and label."""


class Meters:
    """One a process; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, label: str = "", by: float = 1) -> None:
        """Add *by* to a counter."""
        if by:
            with self._lock:
                self._counts[name, label] += by  # type: ignore[assignment] # Counters hold any number.

    def observe(self, name: str, seconds: float) -> None:
        """Add a duration to a histogram with :data:`BUCKETS_S`."""
        place = bisect_left(BUCKETS_S, seconds)
        label = f"{BUCKETS_S[place]:g}" if place < len(BUCKETS_S) else ANY
        self.count(name, label)
        self.count(name, SUM, max(seconds, 0.0))

    def taken(self) -> Counts:
        """What came together since this was asked last. Give back what cannot be written: :meth:`give_back`."""
        with self._lock:
            taken, self._counts = self._counts, Counter()
        return taken

    def give_back(self, counts: Counts) -> None:
        """Keep what could not be written for the next time."""
        with self._lock:
            for name, number in counts.items():
                self._counts[name] += number  # type: ignore[assignment] # As above.
