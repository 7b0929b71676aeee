"""Joined: what comes of comparing all with all, and a page of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.protocol import Ids
from services.broker.joins import Join


@dataclass(frozen=True, slots=True)
class FaceGroups:
    """Groups of faces of nobody, largest first, equally large ones by their lowest face."""

    members: Ids
    """(m,) int64 faces of one group after the other, the most typical of each first."""
    starts: NDArray[np.int32]
    """(g + 1,) int32: where each group begins in *members*, and the end."""
    lowest: Ids
    """(g,) int64: the lowest face of each."""
    similarities: NDArray[np.float32]
    """(g,) float32: the mean similarity of a group's pairs."""
    persons: NDArray[np.int64]
    """(g, c) int64: the nearest people, nearest first, 0 where there are no more."""
    person_similarities: NDArray[np.float32]
    """(g, c) float32."""


@dataclass(frozen=True, slots=True)
class PersonPairs:
    """Pairs of people, most similar first, equally similar ones by their numbers."""

    first: Ids
    second: Ids
    similarities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DoubtfulFaces:
    """Faces of people that are perhaps not theirs, most doubtful first, equally doubtful ones by their numbers."""

    faces: Ids
    persons: NDArray[np.int64]
    own: NDArray[np.float32]
    """(n,) float32: similarity to the person's other faces."""
    others: NDArray[np.int64]
    """(n,) int64: the nearest other person, 0 where there is none."""
    similarities: NDArray[np.float32]
    """(n,) float32: similarity to them."""


Found = FaceGroups | PersonPairs | DoubtfulFaces


def page(found: Found, join: Join) -> dict[str, Any]:
    """What *join* asks for of it: a page, how many there are on all of them, and the place of the next."""
    match found:
        case FaceGroups():
            return _page_of_groups(found, join)
        case PersonPairs():
            return _page_of_pairs(found, join)
        case DoubtfulFaces():
            return _page_of_doubts(found, join)


def _page_of_groups(found: FaceGroups, join: Join) -> dict[str, Any]:
    sizes = np.diff(found.starts)
    end = int(np.searchsorted(-sizes, -join.least, "right"))
    start = 0
    if join.place is not None:
        size, lowest = join.place
        start = int(((sizes > size) | ((sizes == size) & (found.lowest <= lowest))).sum())
    stop = min(start + join.limit, end)
    groups = []
    for group in range(start, stop):
        first, last = int(found.starts[group]), int(found.starts[group + 1])
        nearest = zip(found.persons[group].tolist(), found.person_similarities[group].tolist(), strict=True)
        groups.append(
            {
                "faces": found.members[first : min(last, first + join.shown)].tolist(),
                "size": last - first,
                "similarity": float(found.similarities[group]),
                "people": [[person, similarity] for person, similarity in nearest if person],
            }
        )
    more = start < stop < end
    place = [int(sizes[stop - 1]), int(found.lowest[stop - 1])] if more else None
    return {"groups": groups, "total": end, "next": place}


def _page_of_pairs(found: PersonPairs, join: Join) -> dict[str, Any]:
    start, count = 0, len(found.similarities)
    if join.place is not None:
        similarity, first, second = join.place
        level = np.float32(similarity)
        earlier = (found.first < first) | ((found.first == first) & (found.second <= second))
        start = int(((found.similarities > level) | ((found.similarities == level) & earlier)).sum())
    stop = min(start + join.limit, count)
    pairs = [
        [int(found.first[pair]), int(found.second[pair]), float(found.similarities[pair])]
        for pair in range(start, stop)
    ]
    more = start < stop < count
    last = stop - 1
    place = [float(found.similarities[last]), int(found.first[last]), int(found.second[last])] if more else None
    return {"pairs": pairs, "total": count, "next": place}


def _page_of_doubts(found: DoubtfulFaces, join: Join) -> dict[str, Any]:
    mine = np.arange(len(found.faces)) if join.person is None else np.flatnonzero(found.persons == join.person)
    doubt = (found.similarities - found.own)[mine]
    start = 0
    if join.place is not None:
        level, face = np.float32(join.place[0]), join.place[1]
        start = int(((doubt > level) | ((doubt == level) & (found.faces[mine] <= face))).sum())
    stop = min(start + join.limit, len(mine))
    rows = [
        [
            int(found.faces[row]),
            int(found.persons[row]),
            float(found.own[row]),
            int(found.others[row]) or None,
            float(found.similarities[row]),
        ]
        for row in mine[start:stop]
    ]
    place = [float(doubt[stop - 1]), int(found.faces[mine[stop - 1]])] if start < stop < len(mine) else None
    return {"doubts": rows, "total": len(mine), "next": place}
