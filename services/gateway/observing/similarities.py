"""Similarities: how like their nearest person the faces of late searches were, and whether the calibration still explains that.

The drift of a collection. By its calibration, of the searches for people who are enrolled all but a known share (the FNIR) are at
or above a threshold, and of strangers a known share is (the FPIR). Whatever the mix of the two, the shares seen at each of the
calibration's thresholds must lie between: with *m*, the share of enrolled people that explains them best, the drift is the
largest difference that is left, from 0 to 1. Another camera, another light, aged photos or a damaged model move people down
into the gap between the two, which no mix explains. It says that something has changed and not what; it knows no more than the
thresholds that the calibration has; and a change that looks like another mix is not seen.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence

from services.calibrated import Calibrated

LEAST = 200
"""Faces, below which there is nothing to say: a share of 200 is right to about 0.07."""
_KEPT = 2000
_MOST_COLLECTIONS = 64


class Similarities:
    """Of one gateway process: the last 2,000 faces of the 64 collections that were searched last. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[int, deque[float]] = OrderedDict()
        self._by: dict[int, tuple[Calibrated, int]] = {}

    def note(self, collection: int, best: Sequence[float], calibrated: Calibrated | None, people: int) -> None:
        """Keep the best similarity of each face of a search.

        Args:
            collection: Its number.
            best: One a face; -1 where there was nobody to be like.
            calibrated: By what it was decided.
            people: In a gallery of so many.
        """
        with self._lock:
            seen = self._seen.setdefault(collection, deque(maxlen=_KEPT))
            if calibrated is not None and calibrated is not self._by.get(collection, (None, 0))[0]:
                seen.clear()  # A new calibration: only what comes from now on is held against it.
            if calibrated is not None:
                self._by[collection] = calibrated, people
            seen.extend(best)
            self._seen.move_to_end(collection)
            while len(self._seen) > _MOST_COLLECTIONS:
                gone, _ = self._seen.popitem(last=False)
                self._by.pop(gone, None)

    def drifts(self) -> Iterator[tuple[int, float]]:
        """Collection and drift of each that has a calibration with costs, and has been searched often enough."""
        with self._lock:
            found = {c: (list(seen), self._by[c]) for c, seen in self._seen.items() if c in self._by}
        for collection, (seen, (calibrated, people)) in found.items():
            drifted = drift(seen, calibrated, people)
            if drifted is not None:
                yield collection, drifted


def drift(best: Sequence[float], calibrated: Calibrated, people: int) -> float | None:
    """How far the shares of *best* are from what *calibrated* says, at its best mix of enrolled people and strangers.

    Returns:
        From 0 to 1; None where there are too few faces, or the calibration does not know what it misses.
    """
    rows = [(at.threshold, 1 - at.missed, at.rate) for at in calibrated.searches(people) if at.missed is not None]
    if len(best) < LEAST or len(rows) < 2:
        return None
    seen = [sum(each >= threshold for each in best) / len(best) for threshold, _, _ in rows]
    over, under = 0.0, 0.0
    for share, (_, mated, strangers) in zip(seen, rows, strict=True):
        over += (share - strangers) * (mated - strangers)
        under += (mated - strangers) ** 2
    mix = min(max(over / under, 0.0), 1.0) if under else 0.0
    left = (
        share - mix * mated - (1 - mix) * strangers for share, (_, mated, strangers) in zip(seen, rows, strict=True)
    )
    return max(abs(each) for each in left)
