"""Pairs that a Siamese network learns from: mated and non-mated ones weigh the same, whatever there are more of.

A batch embeds each of its photos once and judges many pairs of them: 64 photos are 2,016 pairs for the price of 64.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidTraining
from workers.evaluation import metrics
from workers.evaluation.metrics import Similarities
from workers.galleries import ListedPairs

Rows = NDArray[np.int64]
Photos = NDArray[np.uint8]
"""(n, 105, 105, 3) uint8, RGB."""

RATES = {"1e-2": 1e-2, "1e-3": 1e-3}


@dataclass(frozen=True, slots=True)
class Batch:
    """Some photos and pairs of them."""

    rows: Rows
    """(n,) of the training set: the photos, each once."""
    first: Rows
    """(m,) places in *rows*."""
    second: Rows
    """(m,) places in *rows*, never those of *first*."""
    same: NDArray[np.bool_]
    """(m,) whether a pair shows one person; at least one does and one does not."""


class Pairs(Protocol):
    """Where batches come from."""

    def batch(self, random: np.random.Generator) -> Batch:
        """The next batch; the same state of *random*, the same batch."""


class PairsOfPeople:
    """All pairs of some photos of some people, drawn anew for each batch.

    Args:
        people: (n,) int64: whom each photo shows. People of one photo serve as somebody else.
        people_a_batch: Of whom at least half have two photos, where there are as many.
        photos_a_person: At most; without repetition.

    Raises:
        InvalidTraining: There are fewer than two people, or nobody has two photos.
    """

    def __init__(self, people: Rows, *, people_a_batch: int, photos_a_person: int) -> None:
        rows = [np.flatnonzero(people == person) for person in np.unique(people)]
        self._several = [mine for mine in rows if len(mine) > 1]
        self._single = [mine for mine in rows if len(mine) == 1]
        if len(rows) < 2 or not self._several:
            raise InvalidTraining(
                f"{len(rows)} people, {len(self._several)} of them with two photos or more: a Siamese network learns from "
                "pairs of one person and of two. Give at least two people, and two photos of one."
            )
        self._people, self._photos = people_a_batch, photos_a_person

    def batch(self, random: np.random.Generator) -> Batch:
        """All pairs of the photos drawn."""
        of_single = min(len(self._single), self._people // 2, max(self._people - len(self._several), self._people // 4))
        of_several = min(len(self._several), self._people - of_single)
        drawn = [self._several[i] for i in random.permutation(len(self._several))[:of_several]]
        drawn += [self._single[i] for i in random.permutation(len(self._single))[:of_single]]
        chosen = [random.permutation(mine)[: self._photos] for mine in drawn]
        rows = np.concatenate(chosen)
        person = np.repeat(np.arange(len(chosen)), [len(mine) for mine in chosen])
        first, second = np.triu_indices(len(rows), 1)
        return Batch(rows, first, second, person[first] == person[second])


@dataclass(frozen=True, slots=True)
class PairList:
    """Pairs of rows."""

    first: Rows
    """(m,)"""
    second: Rows
    """(m,)"""
    same: NDArray[np.bool_]
    """(m,) whether a pair shows one person."""

    def need_both(self, whose: str) -> Self:
        """This list, if it has pairs of both kinds.

        Raises:
            InvalidTraining: It has not.
        """
        mated = int(self.same.sum())
        if not mated or mated == len(self.same):
            raise InvalidTraining(
                f"{whose} give {mated} pairs of one person and {len(self.same) - mated} of two; both kinds are needed. Give "
                "more people, and two photos or more of each."
            )
        return self


class OfAList:
    """Pairs of a list, as many mated as non-mated ones a batch.

    Args:
        pairs: Of rows of the training set.
        pairs_a_batch: Of each kind half.

    Raises:
        InvalidTraining: The list has pairs of one kind only.
    """

    def __init__(self, pairs: PairList, *, pairs_a_batch: int) -> None:
        self._pairs = pairs.need_both("The pairs of people that are learnt from")
        self._kinds = np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)
        self._half = max(1, pairs_a_batch // 2)

    def batch(self, random: np.random.Generator) -> Batch:
        """Pairs drawn with repetition from each kind."""
        drawn = np.concatenate([random.choice(kind, self._half) for kind in self._kinds])
        both = np.concatenate([self._pairs.first[drawn], self._pairs.second[drawn]])
        rows, places = np.unique(both, return_inverse=True)
        return Batch(rows, places[: len(drawn)], places[len(drawn) :], self._pairs.same[drawn])


def among(listed: ListedPairs, rows: Rows) -> PairList:
    """Those listed pairs whose photos are both among *rows* (rising), as places there. A photo twice is no pair."""
    place = np.full(int(max(listed.first.max(initial=0), listed.second.max(initial=0), rows.max(initial=0))) + 1, -1)
    place[rows] = np.arange(len(rows))
    first, second = (np.where(each < 0, -1, place[each]) for each in (listed.first, listed.second))
    kept = (first >= 0) & (second >= 0) & (first != second)
    return PairList(first[kept], second[kept], listed.same[kept])


def balanced(people: Rows, random: np.random.Generator, *, most: int) -> PairList:
    """Pairs of rows, half of them mated: all mated ones, at most *most*, and as many non-mated ones drawn at random."""
    first, second = np.triu_indices(len(people), 1)
    same = people[first] == people[second]
    mated, non_mated = np.flatnonzero(same), np.flatnonzero(~same)
    count = min(len(mated), len(non_mated), most)
    drawn = np.concatenate([random.permutation(mated)[:count], random.choice(non_mated, count, replace=False)])
    return PairList(first[drawn], second[drawn], same[drawn])


def figures(mated: Similarities, non_mated: Similarities) -> dict[str, float]:
    """AUC and, where there are pairs enough, TMR at FMR 1e-2 and 1e-3, by name."""
    pairs = metrics.Pairs(mated, non_mated)
    found = {"AUC": metrics.area_under_roc(pairs)}
    for name, rate in RATES.items():
        if metrics.can_show(rate, len(non_mated)):
            found[f"TMR at FMR {name}"] = metrics.share_accepted(mated, metrics.threshold_at(non_mated, rate))
    return found


def folds_of(people: Rows, folds: int, random: np.random.Generator) -> Rows:
    """The fold (n,) of each photo, below *folds*: all photos of a person in one, people with two photos spread evenly."""
    ids, counts = np.unique(people, return_counts=True)
    order = random.permutation(len(ids))
    order = order[np.argsort(counts[order] < 2, kind="stable")]
    fold_of = np.empty(len(ids), np.int64)
    fold_of[order] = np.arange(len(ids)) % folds
    return fold_of[np.searchsorted(ids, people)]
