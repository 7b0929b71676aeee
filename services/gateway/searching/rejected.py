"""Rejected: whom a search does not name, because somebody said that a face is not them.

It is known of a kept face; and of a photo whose bytes are a kept photo's, face by face where the boxes overlap. Of another photo
of the same face nothing was said.
"""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from services.broker.requests import Answer
from services.catalog.reviewing import not_same
from services.catalog.reviewing.not_same import Kept
from services.gateway.doors import gateway

_SAME_FACE = 0.5
"""IoU from which two boxes in one photo are one face's."""


class Rejected:
    """Whom the faces of one query are not."""

    def __init__(self, kept: Sequence[Kept] = (), *, everywhere: AbstractSet[int] = frozenset()) -> None:
        self._kept = kept
        self._everywhere = everywhere

    @property
    def most(self) -> int:
        """So many more persons are asked for, since as many may be left out."""
        return max((len(kept.people) for kept in self._kept), default=len(self._everywhere))

    def of(self, answer: Answer) -> list[AbstractSet[int]]:
        """Of each face of an answer, the people whom it is not, by number."""
        found = answer["photos"][0]["faces"]
        if not self._kept:
            return [self._everywhere] * len(found)
        return [self._at(face["box"]) for face in found]

    def _at(self, box: Sequence[float]) -> AbstractSet[int]:
        overlaps = [(_overlap(box, kept.box), kept.people) for kept in self._kept]
        overlap, people = max(overlaps, key=lambda each: each[0])
        return people if overlap >= _SAME_FACE else frozenset()


def of_face(face_id: str) -> Rejected:
    """Whom a kept face is not."""
    with gateway().catalog.reading() as session:
        return Rejected(everywhere=not_same.people_not(session, [face_id]).get(face_id, frozenset()))


def of_photo(data: bytes, collection_id: int, round_: int) -> Rejected:
    """Whom the faces of a photo are not, where the collection keeps its bytes."""
    sha256 = hashlib.sha256(data).hexdigest()
    with gateway().catalog.reading() as session:
        return Rejected(not_same.in_photo(session, collection_id, sha256, round_))


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(across, 0.0) * max(down, 0.0)
    return shared / max(a[2] * a[3] + b[2] * b[3] - shared, 1e-9)
