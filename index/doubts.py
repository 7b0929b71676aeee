"""Doubts: which faces of somebody are perhaps not theirs.

A face is doubted that is little like the mean of the person's other faces, or more like another person than like these. Found
with 5 % of photos swapped between people, what is missed and what is doubted wrongly: docs/index.md, "Doubtful faces".
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.pairs import Places
from index.protocol import Half, Vectors

MARGIN = 0.05
"""By so much another person has to be nearer."""
MOST_PRODUCTS = 2_000_000_000
"""Faces times people that are compared, a minute; of a larger collection the faces that are least like their own."""

_FACES_AT_ONCE, _PEOPLE_AT_ONCE = 1024, 8192


@dataclass(frozen=True, slots=True)
class Doubts:
    """Faces that are doubted, the most doubtful first: by how much nearer another person is."""

    faces: Places
    """(m,) int32 rows."""
    own: NDArray[np.float32]
    """(m,) float32: cosine with the mean of the person's other faces."""
    others: Places
    """(m,) int32: the other person who is nearest, -1 where nobody was compared."""
    similarities: NDArray[np.float32]
    """(m,) float32: cosine with their template; 0 where nobody was compared."""

    def __len__(self) -> int:
        return len(self.faces)


def doubts(faces: Half, starts: NDArray[np.integer], threshold: float, *, most: int, margin: float = MARGIN) -> Doubts:
    """The faces that are doubted. Nothing is said of somebody's only face.

    Args:
        faces: (n, d) float16, one person's after the other's.
        starts: (p + 1,): where each person's begin, and the end.
        threshold: A face that is less like the person's others is doubted, whoever else it is like.
        most: How many are told of.
        margin: By so much another person has to be nearer, for a face that is not below *threshold* to be doubted.
    """
    sizes = np.diff(starts)
    person = np.repeat(np.arange(len(sizes)), sizes)
    sums = np.zeros((len(sizes), faces.shape[1]), np.float32)
    own = np.full(len(faces), np.nan, np.float32)
    for part, vectors in _blocks(faces):
        np.add.at(sums, person[part], vectors)
    for part, vectors in _blocks(faces):
        rest = sums[person[part]] - vectors
        norms = np.maximum(np.linalg.norm(rest, axis=1), 1e-6)
        own[part] = np.where(sizes[person[part]] > 1, np.einsum("nd,nd->n", vectors, rest) / norms, np.nan)
    templates = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)
    compared = np.argsort(own, kind="stable")[: int(np.isfinite(own).sum())]  # What is not a number goes last.
    compared = compared[: max(MOST_PRODUCTS // max(len(sizes), 1), 1)]
    others, similarities = _nearest_other(faces, compared, person, templates)
    said = own[compared]
    doubted = (said < threshold) | ((others >= 0) & (similarities > said + margin))
    order = np.lexsort((compared, (said - similarities)))
    order = order[doubted[order]][:most]
    return Doubts(compared[order].astype(np.int32), said[order], others[order], similarities[order])


def _nearest_other(
    faces: Half, rows: NDArray[np.integer], person: NDArray[np.integer], templates: Vectors
) -> tuple[Places, NDArray[np.float32]]:
    """Of some rows the nearest person who is not their own: (m,) int32, -1 where there is none; the cosine, 0 there."""
    others, similarities = np.full(len(rows), -1, np.int32), np.full(len(rows), -np.inf, np.float32)
    for left in range(0, len(templates), _PEOPLE_AT_ONCE):
        some = templates[left : left + _PEOPLE_AT_ONCE]
        for top in range(0, len(rows), _FACES_AT_ONCE):
            mine = rows[top : top + _FACES_AT_ONCE]
            cosines = faces[mine].astype(np.float32) @ some.T
            here = person[mine] - left
            among = np.flatnonzero((here >= 0) & (here < len(some)))
            cosines[among, here[among]] = -np.inf
            best = cosines.argmax(1)
            found = np.minimum(cosines[np.arange(len(mine)), best], 1)
            part = slice(top, top + len(mine))
            closer = found > similarities[part]
            others[part] = np.where(closer, best + left, others[part])
            similarities[part] = np.where(closer, found, similarities[part])
    return others, np.where(others >= 0, similarities, 0).astype(np.float32)


def _blocks(faces: Half) -> Iterator[tuple[slice, Vectors]]:
    for start in range(0, len(faces), _PEOPLE_AT_ONCE):
        yield slice(start, start + _PEOPLE_AT_ONCE), faces[start : start + _PEOPLE_AT_ONCE].astype(np.float32)
