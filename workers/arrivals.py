"""Arrivals: what a searcher was told has come in, until it is found here. So it is known how long that takes."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services import meters, tracing
from services.broker.waking import News
from services.meters import Meters
from services.tracing import TRACEPARENT

_MOST = 1024
_FORGOTTEN_S = 60.0
"""News of a collection that is not held here are of no use."""


@dataclass(frozen=True, slots=True)
class _Told:
    news: News
    at: float


class Arrivals:
    """From one thread that is told to one that follows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: list[_Told] = []

    def note(self, news: Sequence[News]) -> None:
        """Keep what was told; the oldest goes where there is too much of it."""
        now = time.monotonic()
        with self._lock:
            self._told = [*self._told, *(_Told(each, now) for each in news if each.sequence)][-_MOST:]

    def settle(self, sequences: Iterable[tuple[int, int]], counted: Meters) -> None:
        """Time what is found by now.

        Args:
            sequences: Collection and sequence number of every replica.
            counted: Where it is added up.
        """
        if not self._told:
            return
        now, reached = time.monotonic(), dict[int, int]()
        for collection, sequence in sequences:
            reached[collection] = min(sequence, reached.get(collection, sequence))
        with self._lock:
            here = [told for told in self._told if told.news.sequence <= reached.get(told.news.collection, -1)]
            late = now - _FORGOTTEN_S
            self._told = [told for told in self._told if told not in here and told.at > late]
        for told in here:
            waited_s = now - told.at
            for age_s in told.news.ages_s:
                counted.observe(meters.FINDABLE_S, age_s + waited_s)
            tracing.record(
                "searcher.follow",
                waited_s,
                parent=told.news.trail.get(TRACEPARENT),
                collection=told.news.collection,
                sequence=told.news.sequence,
            )
