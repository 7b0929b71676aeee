"""Grouping: from pairs that look alike to groups that probably show one person each.

Connected components are wrong for faces: two people with hundreds of photos need one pair of look-alikes to become one
group. Here groups are joined while the mean similarity between two of them is high enough (average linkage), which was
measured best (docs/index.md, "Groups of faces"). The mean is over all pairs of the two, the dissimilar ones too: it is the product
of their sums, so no pair needs to be kept for it. Two groups can only be that similar in the mean if a pair of theirs is,
so the pairs above the threshold show all joins that are possible.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.pairs import Pairs, Places
from index.protocol import Half, Vectors

CANDIDATES = 5
"""People who are named for a group: the first of them may be known not to be theirs."""

_AT_ONCE, _CENTRES_AT_ONCE = 8192, 512


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of rows, largest first, equally large ones by their lowest row."""

    members: Places
    """(m,) int32 rows of one group after the other; within a group those most like the group's mean first."""
    starts: NDArray[np.int32]
    """(g + 1,) int32: where in *members* each group begins, and the end."""
    similarities: NDArray[np.float32]
    """(g,) float32: the mean similarity of a group's pairs."""

    def __len__(self) -> int:
        return len(self.similarities)


def grouped(vectors: Half, pairs: Pairs, threshold: float) -> Groups:
    """Groups of two rows or more; rows that are like no other are in none.

    Each round joins all groups that are nearest to each other mutually. That gives what joining the nearest two of all
    again and again would give (average linkage is reducible: a join brings nobody nearer), in few rounds over arrays.

    Args:
        vectors: (n, d) float16 of norm 1 before they were rounded.
        pairs: All pairs of theirs of *threshold* or more.
        threshold: The least mean similarity of two groups that are joined, in (0, 1].
    """
    rows, edges = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    alone = vectors[rows].astype(np.float32)
    groups = _joined(alone, edges[: len(pairs)], edges[len(pairs) :], pairs.similarities, threshold)
    return _described(alone, rows.astype(np.int32), groups)


def _joined(
    alone: Vectors,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    similarities: NDArray[np.float32],
    threshold: float,
) -> NDArray[np.int64]:
    """The group of each row: the number of one of its rows. Edges are rows by twos, in the order of their numbers."""
    rows = len(alone)
    sums, sizes, group_of = alone.copy(), np.ones(rows, np.float32), np.arange(rows)
    while len(first):
        order = np.argsort(-similarities, kind="stable")
        first, second, similarities = first[order], second[order], similarities[order]
        places = np.arange(len(first))
        nearest = np.full(rows, len(first))
        for ends in (first, second):
            mine = np.full(rows, len(first))
            mine[ends[::-1]] = places[::-1]  # Of several places of one row the last written stays: the nearest.
            np.minimum(nearest, mine, out=nearest)
        mutual = (nearest[first] == places) & (nearest[second] == places)
        stays, goes = first[mutual], second[mutual]
        sums[stays] += sums[goes]
        sizes[stays] += sizes[goes]
        now, grew = np.arange(rows), np.zeros(rows, np.bool_)
        now[goes], grew[stays] = stays, True
        group_of = now[group_of]
        first, second = now[first], now[second]
        keys = np.minimum(first, second) * rows + np.maximum(first, second)
        keys, kept = np.unique(keys[first != second], return_index=True)
        similarities = similarities[first != second][kept]
        first, second = np.divmod(keys, rows)
        changed = np.flatnonzero(grew[first] | grew[second])
        for start in range(0, len(changed), _AT_ONCE):
            part = changed[start : start + _AT_ONCE]
            one, other = first[part], second[part]
            similarities[part] = np.einsum("nd,nd->n", sums[one], sums[other]) / (sizes[one] * sizes[other])
        alike = similarities >= threshold
        first, second, similarities = first[alike], second[alike], similarities[alike]
    return group_of


def _described(alone: Vectors, rows: Places, group_of: NDArray[np.int64]) -> Groups:
    """Groups of two or more, in their order."""
    names, place, sizes = np.unique(group_of, return_inverse=True, return_counts=True)
    sums = np.zeros((len(names), alone.shape[1]), np.float32)
    np.add.at(sums, place, alone)
    own = np.bincount(place, np.einsum("nd,nd->n", alone, alone), len(names))
    lowest = np.full(len(names), len(rows))
    np.minimum.at(lowest, place, np.arange(len(rows)))
    order = np.lexsort((lowest, -sizes))
    order = order[sizes[order] > 1]
    rank = np.full(len(names), len(names))
    rank[order] = np.arange(len(order))
    typical = np.einsum("nd,nd->n", alone, sums[place])
    members = np.lexsort((rows, -typical, rank[place]))[: int(sizes[order].sum())]
    pairs = sizes[order] * (sizes[order] - 1.0)
    within = (np.einsum("gd,gd->g", sums[order], sums[order]) - own[order]) / np.maximum(pairs, 1)
    starts = np.concatenate([[0], np.cumsum(sizes[order])]).astype(np.int32)
    return Groups(rows[members], starts, np.clip(within, -1, 1).astype(np.float32))


def nearest(groups: Groups, vectors: Half, people: Half) -> tuple[Places, NDArray[np.float32]]:
    """The :data:`CANDIDATES` people who are nearest to each group, by the cosine of the group's mean with their template.

    Args:
        groups: Of rows of *vectors*.
        vectors: (n, d) float16.
        people: (p, d) float16 templates.

    Returns:
        Rows of *people*, (g, CANDIDATES) int32, nearest first, -1 where there are no more; cosines, float32, -inf there.
    """
    place = np.full((len(groups), CANDIDATES), -1, np.int32)
    similarity = np.full((len(groups), CANDIDATES), -np.inf, np.float32)
    for left in range(0, len(people), _AT_ONCE):
        templates = people[left : left + _AT_ONCE].astype(np.float32)
        rows = np.arange(left, left + len(templates), dtype=np.int32)
        for top in range(0, len(groups), _CENTRES_AT_ONCE):
            part = slice(top, min(top + _CENTRES_AT_ONCE, len(groups)))
            cosines = np.clip(_centres(groups, vectors, part) @ templates.T, -1, 1)
            both = np.concatenate([similarity[part], cosines], axis=1)
            best = np.argpartition(-both, CANDIDATES - 1, axis=1)[:, :CANDIDATES]
            known = np.concatenate([place[part], np.broadcast_to(rows, cosines.shape)], axis=1)
            found, who = np.take_along_axis(both, best, 1), np.take_along_axis(known, best, 1)
            order = np.lexsort((who, -found), axis=1)
            place[part] = np.take_along_axis(who, order, 1)
            similarity[part] = np.take_along_axis(found, order, 1)
    return place, similarity


def _centres(groups: Groups, vectors: Half, part: slice) -> Vectors:
    """The mean directions of some groups, (g, d) float32 of norm 1."""
    starts = groups.starts[part.start : part.stop + 1]
    mine = vectors[groups.members[starts[0] : starts[-1]]].astype(np.float32)
    sums = np.add.reduceat(mine, starts[:-1] - starts[0], axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30), np.float32)
