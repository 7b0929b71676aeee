"""How a set of faces is turned into figures: verification, folds of pairs, one-shot, open set, and paired comparisons.

All take vectors (n, d) float32 of norm 1 and the person of each row, and draw with a seed: the same input, the same
figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.evaluation import bootstrap, identification, metrics
from workers.evaluation.metrics import Labels, Pairs, Similarities
from workers.evaluation.pairing import Compare, Photos, cosine
from workers.faces.values import Vectors

_COMPARED_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True)
class Verification:
    """1:1 over all pairs of a set."""

    mated: int
    non_mated: int
    tmr: dict[float, float]
    """By FMR."""
    threshold: dict[float, float]
    """By FMR."""
    eer: float
    auc: float


@dataclass(frozen=True, slots=True)
class Difference:
    """B minus A on the same faces, with the 95% interval of a bootstrap over people."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OpenSet:
    """1:N with strangers among the probes: one row a false-positive identification rate."""

    people: int
    fpir: float
    threshold: float
    fnir: float
    rank1: float


def verification(vectors: Vectors, people: Labels, rates: Sequence[float] = (1e-2, 1e-3, 1e-4)) -> Verification:
    """TMR at each FMR of *rates*, EER and AUC over all pairs."""
    pairs = metrics.all_pairs(vectors, people)
    thresholds = {rate: metrics.threshold_at(pairs.non_mated, rate) for rate in rates}
    tmr = {rate: metrics.share_accepted(pairs.mated, threshold) for rate, threshold in thresholds.items()}
    counts = len(pairs.mated), len(pairs.non_mated)
    return Verification(*counts, tmr, thresholds, metrics.equal_error_rate(pairs), metrics.area_under_roc(pairs))


def fold_accuracy(similarities: Similarities, same: NDArray[np.bool_], folds: int = 10, seed: int = 0) -> float:
    """LFW's accuracy: each fold decided by the threshold that is best on the others; the mean over folds.

    Folds are drawn with equal shares of mated and non-mated pairs.
    """
    fold = even_folds(same, folds, seed)
    scores = []
    for held_out in range(folds):
        test = fold == held_out
        threshold = best_threshold(similarities[~test], same[~test])
        scores.append(float(((similarities[test] >= threshold) == same[test]).mean()))
    return float(np.mean(scores))


def even_folds(same: NDArray[np.bool_], folds: int, seed: int = 0) -> Labels:
    """The fold of each pair, (p,), drawn with equal shares of mated and non-mated pairs."""
    fold = np.empty(len(same), np.int64)
    random = np.random.default_rng(seed)
    for kind in (True, False):
        rows = np.flatnonzero(same == kind)
        fold[random.permutation(rows)] = np.arange(len(rows)) % folds
    return fold


def best_threshold(similarities: Similarities, same: NDArray[np.bool_]) -> float:
    """The threshold that decides most of the pairs rightly; of equally good ones the middle."""
    order = np.argsort(similarities, kind="stable")
    levels, kinds = similarities[order].astype(np.float64), same[order]
    # Right when the threshold lies below row i: the non-mated before it and the mated from it on.
    right = np.concatenate([[0], np.cumsum(~kinds)]) + np.concatenate([np.cumsum(kinds[::-1])[::-1], [0]])
    between = np.concatenate([[levels[0] - 1e-6], (levels[1:] + levels[:-1]) / 2, [levels[-1] + 1e-6]])
    best = np.flatnonzero(right == right.max())
    return float(between[best[len(best) // 2]])


@dataclass(frozen=True, slots=True)
class Trials:
    """One-shot trials, by the person asked for: both (everybody,)."""

    right: NDArray[np.float64]
    trials: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Of the trials that found the right person."""
        return float(self.right.sum() / self.trials.sum())


def one_shot(vectors: Vectors, people: Labels, ways: int, trials: int = 20_000, seed: int = 0) -> float:
    """Rank-1 among *ways* people enrolled with one photo each, one of whom is asked for with another photo.

    Raises:
        ValueError: Fewer than *ways* people have two photos.
    """
    numbered = np.unique(people, return_inverse=True)[1]
    return n_way(vectors, Photos(numbered, len(people), int(numbered.max()) + 1), ways, trials, seed).share


def n_way(
    vectors: Vectors,
    photos: Photos,
    ways: int,
    trials: int = 20_000,
    seed: int = 0,
    compare: Compare = cosine,
) -> Trials:
    """:func:`one_shot` where some photos have no face: these are never enrolled, and asked for with one nobody is found.

    Raises:
        ValueError: Fewer than *ways* people have two photos, one with a face.
    """
    random = np.random.default_rng(seed)
    rows = [np.flatnonzero(photos.people == person) for person in range(photos.everybody)]
    rows = [mine for mine in rows if len(mine) > 1 and mine[0] < photos.found]
    if len(rows) < ways:
        raise ValueError(f"{len(rows)} people have two photos; {ways} are needed.")
    counts = np.array([len(mine) for mine in rows])
    faces = np.array([int((mine < photos.found).sum()) for mine in rows])
    table = np.zeros((len(rows), counts.max()), np.int64)
    for place, mine in enumerate(rows):
        table[place, : len(mine)] = mine  # Those with a face first.
    enrolled, probes = np.empty((trials, ways), np.int64), np.empty(trials, np.int64)
    for trial in range(trials):
        drawn = random.permutation(len(rows))[:ways]
        chosen = random.integers(faces[drawn])
        # Another photo of the first person: any but the one enrolled.
        other = (chosen[0] + random.integers(1, counts[drawn[0]])) % counts[drawn[0]]
        enrolled[trial], probes[trial] = table[drawn, chosen], table[drawn[0], other]
    right = np.zeros(trials, np.bool_)
    seen = np.flatnonzero(probes < photos.found)
    for start in range(0, len(seen), step := max(1, _COMPARED_AT_ONCE // ways)):
        some = seen[start : start + step]
        asked = vectors[probes[some]].repeat(ways, 0)
        said = compare(vectors[enrolled[some].ravel()], asked).reshape(len(some), ways)
        right[some] = said.argmax(1) == 0
    asked_for = photos.people[probes]
    right_of, trials_of = (bootstrap.by_person(asked_for, each, photos.everybody) for each in (right, np.ones(trials)))
    return Trials(right_of, trials_of)


def open_set(
    vectors: Vectors,
    people: Labels,
    gallery_people: int,
    enrolled: int,
    *,
    rates: Sequence[float] = (0.01, 0.05, 0.10),
    draws: int = 40,
    seed: int = 0,
) -> list[OpenSet]:
    """Identification when some who are asked for are strangers (:func:`workers.evaluation.identification.search`).

    Thresholds and rates are over the probes of all draws together. A miss is a mated probe whose person is not first or
    not at or above the threshold.
    """
    photos = Photos(people, len(people), int(people.max()) + 1)
    found = identification.search(vectors, photos, gallery_people, enrolled=enrolled, draws=draws, seed=seed)
    rank1 = float(found.first.mean())
    rows: list[OpenSet] = []
    for rate in rates:
        threshold = metrics.threshold_at(found.strangers, rate)
        rows.append(OpenSet(gallery_people, rate, threshold, identification.fnir(found, threshold), rank1))
    return rows


def tmr_difference(
    a: Vectors, b: Vectors, people: Labels, *, rate: float = 1e-3, draws: int = 2000, seed: int = 0
) -> Difference:
    """TMR of *b* minus TMR of *a* at FMR *rate*, each at its own threshold, resampling the people with mated pairs."""
    counts = np.stack([_accepted_by_person(vectors, people, rate) for vectors in (a, b)])
    random = np.random.default_rng(seed)
    drawn = random.integers(counts.shape[1], size=(draws, counts.shape[1]))
    pairs, accepted = counts[0, :, 0], counts[:, :, 1]
    differences = (accepted[1] - accepted[0])[drawn].sum(1) / pairs[drawn].sum(1)
    low, high = np.quantile(differences, [0.025, 0.975])
    return Difference(float((accepted[1] - accepted[0]).sum() / pairs.sum()), float(low), float(high))


def _accepted_by_person(vectors: Vectors, people: Labels, rate: float) -> NDArray[np.float64]:
    """(people with mated pairs, 2): how many mated pairs each has, and how many of them are accepted."""
    pairs: Pairs = metrics.all_pairs(vectors, people)
    threshold = np.float32(metrics.threshold_at(pairs.non_mated, rate))
    rows: list[tuple[int, int]] = []
    for person in np.unique(people):
        mine = vectors[people == person]
        similarities = (mine @ mine.T)[np.triu_indices(len(mine), 1)]
        if len(similarities):
            rows.append((len(similarities), int((similarities >= threshold).sum())))
    return np.array(rows, np.float64)
