"""Finding faces again: which of a photo's new detections is which face of before, by overlap.

MTCNN's and YuNet's boxes of the same face differ, though YuNet's are corrected towards MTCNN's. The limits were chosen on 300
photos of lfw_dev: the two boxes of a face had an IoU of at least 0.71 (1 % below 0.77), other pairs at most 0.21. In 150 photos
of Georgia Tech and 60 crowds of WIDER FACE, other people, that was 0.50 and 0.20. Of all 897 faces 876 were found again, 21 not,
and none was ambiguous.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workers.faces.overlap import iou
from workers.faces.values import Box

FITS = 0.4
"""IoU from which on a detection may be a face of before."""
NEAR = 0.2
"""IoU from which on it is worth a person's look where none fits."""
CLEARLY = 0.1
"""A detection that fits two faces is that one's whose IoU is larger by so much."""


@dataclass(slots=True)
class Refound:
    """What became of the faces of before; those in neither were not found again."""

    found: dict[int, int] = field(default_factory=dict)
    """The detection that each is, by place."""
    ambiguous: dict[int, list[int]] = field(default_factory=dict)
    """The detections that each may be, the nearest first."""

    @property
    def taken(self) -> set[int]:
        """Detections that are a face of before, or may be one."""
        return {*self.found.values(), *(n for candidates in self.ambiguous.values() for n in candidates)}


def refind(before: Sequence[Box], is_whole: Sequence[bool], now: Sequence[Box]) -> Refound:
    """Find faces again, each in at most one detection, and no detection for two of them.

    A whole face with exactly one fitting detection is found. One with several, or whose detection fits another face about as
    well, is ambiguous; so is one that none fits, if there are some near that are nobody else's. Boxes that are kept of
    bystanders take what is left, the nearest first, and are never ambiguous.

    Args:
        before: Boxes of the faces of before, in pixels of the photo.
        is_whole: Whether each has a chip.
        now: Boxes of the new detections.
    """
    shared = overlap(before, now)
    whole = np.array(is_whole, np.bool_)
    fits = (shared >= FITS) & whole[:, None]
    contested = _settled(fits, shared)
    refound = Refound()
    for face in np.flatnonzero(whole).tolist():
        candidates = _nearest_first(fits[face], shared[face])
        if len(candidates) == 1 and candidates[0] not in contested:
            refound.found[face] = candidates[0]
        elif candidates:
            refound.ambiguous[face] = candidates
    taken = refound.taken
    for face in np.flatnonzero(whole & ~fits.any(1)).tolist():
        near = [n for n in _nearest_first(shared[face] >= NEAR, shared[face]) if n not in taken]
        if near:
            refound.ambiguous[face] = near
    _give_rest_to_boxes(refound, np.where(whole[:, None], 0.0, shared))
    return refound


def overlap(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float32]:
    """The IoU of each of *a* with each of *b*, (len(a), len(b)) float32."""
    return iou(_edges(a), _edges(b))


def _settled(fits: NDArray[np.bool_], overlap: NDArray[np.float32]) -> set[int]:
    """Leave each detection to the face that it fits clearly best; those where none is, are returned."""
    contested = set()
    for n in np.flatnonzero(fits.sum(0) > 1).tolist():
        faces = np.flatnonzero(fits[:, n])
        best, second = np.sort(overlap[faces, n])[::-1][:2]
        if best - second >= CLEARLY:
            fits[faces, n] = overlap[faces, n] == best
        else:
            contested.add(n)
    return contested


def _give_rest_to_boxes(refound: Refound, overlap: NDArray[np.floating]) -> None:
    taken = refound.taken
    order = np.dstack(np.unravel_index(np.argsort(-overlap, axis=None, kind="stable"), overlap.shape))[0]
    for face, n in order.tolist():
        if overlap[face, n] < FITS:
            return
        if face not in refound.found and n not in taken:
            refound.found[face] = n
            taken.add(n)


def _nearest_first(wanted: NDArray[np.bool_], overlap: NDArray[np.float32]) -> list[int]:
    chosen = np.flatnonzero(wanted)
    nearest: list[int] = chosen[np.argsort(-overlap[chosen], kind="stable")].tolist()
    return nearest


def _edges(boxes: Sequence[Box]) -> NDArray[np.float32]:
    edges = [[box.x, box.y, box.x + box.w, box.y + box.h] for box in boxes]
    return np.array(edges, np.float32).reshape(-1, 4)
