"""Which pairs of photos are compared, and what a model says of them.

A photo in which no face was found takes part: a mated pair with it is a miss at every threshold. Non-mated pairs are of
two found faces, so that a detector which finds little does not lower anybody's false-match rate.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.metrics import Labels, Pairs, Similarities
from workers.faces.values import Vectors

MOST_NON_MATED = 3_000_000
MOST_MATED = 500_000
"""What is looked at of a large set, drawn with a seed: pairs grow with the square of the faces, and so would memory."""

UNDETECTED = float(np.finfo(np.float32).min)
"""The similarity of a pair with a photo without a face: below every threshold."""

Rows = NDArray[np.int64]
Compare = Callable[[Vectors, Vectors], Similarities]
"""How alike the rows of two (n, d) arrays are, (n,) float32."""

_AT_ONCE = 16_384
_SQUARE = 4_000
"""Up to so many faces all are compared with all at once (64 MB)."""


@dataclass(frozen=True, slots=True)
class Photos:
    """Whom each photo of a set shows: first those with a face, as the rows of the vectors, then those without."""

    people: Labels
    """(m,): the person of each."""
    found: int
    """How many have a face: rows 0 to this of the vectors."""
    everybody: int
    """How many people there are; their numbers are below it."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The pairs to compare, as rows of :class:`Photos`."""

    mated: Rows
    """(a, 2): some may lack a face."""
    non_mated: Rows
    """(b, 2): both have a face."""
    mated_share: float
    non_mated_share: float
    """Which part of all pairs of its kind is looked at: 1 where all are."""
    listed: bool = False
    """By a file, not all of a set or an even part of all."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model says of a :class:`Pairing`."""

    mated: Similarities
    """(a,): :data:`UNDETECTED` where a face is missing."""
    non_mated: Similarities
    """(b,)."""

    def pairs(self) -> Pairs:
        """Both kinds, as :mod:`workers.evaluation.metrics` takes them."""
        return Pairs(self.mated, self.non_mated)


def every_pair(photos: Photos, seed: int = 0) -> Pairing:
    """All pairs of a set, or as many as are looked at of a large one, drawn evenly."""
    random = np.random.default_rng(seed)
    by_person = np.argsort(photos.people, kind="stable")
    starts = np.flatnonzero(np.diff(photos.people[by_person], prepend=-1))
    mated, mated_share = _mated(np.split(by_person, starts[1:]), random)
    people = photos.people[: photos.found]
    counts = np.bincount(people, minlength=1).astype(np.int64)
    total = (photos.found**2 - int((counts**2).sum())) // 2
    if total <= MOST_NON_MATED:
        first, second = np.triu_indices(photos.found, 1)
        apart = people[first] != people[second]
        return Pairing(mated, np.stack([first[apart], second[apart]], 1), mated_share, 1.0)
    non_mated = _drawn(people, MOST_NON_MATED, random)
    return Pairing(mated, non_mated, mated_share, len(non_mated) / total)


def _mated(people: list[Rows], random: np.random.Generator) -> tuple[Rows, float]:
    total = sum(len(mine) * (len(mine) - 1) // 2 for mine in people)
    share = min(1.0, MOST_MATED / max(total, 1))
    kept: list[Rows] = [np.empty((0, 2), np.int64)]
    for mine in people:
        first, second = np.triu_indices(len(mine), 1)
        if share < 1:
            chosen = np.sort(random.permutation(len(first))[: max(1, round(share * len(first)))])
            first, second = first[chosen], second[chosen]
        kept.append(np.stack([mine[first], mine[second]], 1))
    return np.concatenate(kept), share


def _drawn(people: Labels, most: int, random: np.random.Generator) -> Rows:
    """Pairs of rows of different people: *most* of all pairs are drawn, without repetition, and these are left of them."""
    count = len(people)
    numbers = random.choice(count * (count - 1) // 2, most, replace=False, shuffle=False)
    # Pairs are numbered (0, 1), (0, 2), (1, 2), (0, 3), …: those whose second is s begin at s (s - 1) / 2.
    second = ((1 + np.sqrt(1 + 8.0 * numbers)) / 2).astype(np.int64)
    second -= second * (second - 1) // 2 > numbers  # Where the root was rounded up.
    second += second * (second + 1) // 2 <= numbers
    first = numbers - second * (second - 1) // 2
    apart = people[first] != people[second]
    return np.stack([first[apart], second[apart]], 1)


def scored(vectors: Vectors, photos: Photos, pairing: Pairing, compare: Compare | None = None) -> Scored:
    """The similarity of every pair: the cosine, or what *compare* says."""
    mated = np.full(len(pairing.mated), UNDETECTED, np.float32)
    there = (pairing.mated < photos.found).all(1)
    mated[there] = similarities(vectors, pairing.mated[there], compare)
    return Scored(mated, similarities(vectors, pairing.non_mated, compare))


def similarities(vectors: Vectors, pairs: Rows, compare: Compare | None = None) -> Similarities:
    """The similarity of *pairs* of rows of *vectors*, (p, 2), as (p,) float32."""
    if compare is None and len(vectors) <= _SQUARE and len(pairs) > len(vectors):
        square: Similarities = (vectors @ vectors.T)[pairs[:, 0], pairs[:, 1]]
        return square
    said = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        said[some] = (compare or cosine)(vectors[pairs[some, 0]], vectors[pairs[some, 1]])
    return said


def cosine(first: Vectors, second: Vectors) -> Similarities:
    """The cosine of rows of norm 1, (n,) float32."""
    said: Similarities = np.einsum("nd,nd->n", first, second, dtype=np.float32)
    return said
