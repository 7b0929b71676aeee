"""Verification: are these two the same person? The figures of a set of compared pairs, and what it cannot show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.metrics import auc, roc_curve

from workers.evaluation import bootstrap, metrics, protocols
from workers.evaluation.bootstrap import Draws, Interval, Weights
from workers.evaluation.metrics import Labels
from workers.evaluation.pairing import UNDETECTED, Pairing, Photos, Rows, Scored

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
LEAST_PAIRS = 3
"""Of each kind; of fewer nothing is said."""
FOLDS = 10
_MOST_A_FOLD = 300
"""Pairs of each kind, as LFW has them."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """LFW's accuracy: each fold decided by the threshold that is best on the others."""

    mean: float
    std: float
    """Over the folds, as a sample's."""
    folds: int
    pairs: int
    drawn: bool
    """The folds were drawn here, people apart; else the file gave them, or lists pairs without folds."""


@dataclass(frozen=True, slots=True)
class AtRate:
    """What is missed where a share of the non-mated pairs is accepted."""

    tmr: float
    interval: Interval | None
    threshold: float
    false_matches: int
    """Non-mated pairs at or above the threshold."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A ROC curve, thinned for drawing: both (k,), rising."""

    fmr: NDArray[np.float64]
    tmr: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Verified:
    """1:1 over one set of pairs."""

    accuracy: Accuracy | None
    auc: float | None
    eer: float | None
    at_rate: dict[float, AtRate | None]
    """By FMR; None where there are not enough pairs."""
    curve: Curve | None
    draws: dict[float, Draws]
    """By FMR: the TMR in each draw of the bootstrap, for differences of models over the same draws."""


def verified(scored: Scored, pairing: Pairing, photos: Photos, folds: "Folds | None", weights: Weights) -> Verified:
    """All figures of one model over *pairing*."""
    right = None if folds is None else accuracy(scored, folds)
    if len(scored.mated) < LEAST_PAIRS or len(scored.non_mated) < LEAST_PAIRS:
        return Verified(right, None, None, dict.fromkeys(RATES), None, {})
    shown = [rate for rate in RATES if metrics.can_show(rate, len(scored.non_mated))]
    draws = bootstrap.tmr_draws(scored, pairing, photos, shown, weights)
    at_rate: dict[float, AtRate | None] = dict.fromkeys(RATES)
    for rate in shown:
        threshold = metrics.threshold_at(scored.non_mated, rate)
        false = int((scored.non_mated >= np.float32(threshold)).sum())
        tmr = metrics.share_accepted(scored.mated, threshold)
        at_rate[rate] = AtRate(tmr, bootstrap.interval(draws[rate]), threshold, false)
    curve, area = _curve(scored)
    return Verified(right, area, metrics.equal_error_rate(scored.pairs()), at_rate, curve, draws)


def _curve(scored: Scored) -> tuple[Curve, float]:
    """scikit-learn's ROC curve, of which some 400 points are kept, evenly along the logarithm of FMR and along TMR."""
    labels = np.concatenate([np.ones(len(scored.mated), np.int8), np.zeros(len(scored.non_mated), np.int8)])
    fmr, tmr, _ = roc_curve(labels, np.concatenate([scored.mated, scored.non_mated]), drop_intermediate=True)
    area = float(auc(fmr, tmr))
    along = np.concatenate([np.log10(np.maximum(fmr, 1e-7)), 8 * tmr])
    steps = np.unique(np.round(along.reshape(2, -1).T * 25).astype(np.int64), axis=0, return_index=True)[1]
    kept = np.union1d(steps, [0, len(fmr) - 1])
    return Curve(fmr[kept], tmr[kept]), area


def probit(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a rate lies on the axes of a DET plot, on which two normal distributions give a straight line."""
    deviate: NDArray[np.float64] = norm.ppf(rate)
    return deviate


# --- folds ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Folds:
    """The pairs that accuracy is measured on."""

    mated: Rows
    """Rows of the pairing's mated pairs."""
    non_mated: Rows
    fold_of_mated: Labels
    fold_of_non_mated: Labels
    rejected: Labels
    """The folds of further non-mated pairs with a photo without a face: rejected, and rightly."""
    drawn: bool


def drawn_folds(pairing: Pairing, photos: Photos, seed: int = 0) -> Folds | None:
    """Ten folds of pairs whose people are apart, up to 300 of each kind in each; fewer folds where there are few people.

    None where there are not two folds with pairs of both kinds.
    """
    random = np.random.default_rng(seed)
    several = np.unique(photos.people[pairing.mated[:, 0]])
    single = np.setdiff1d(np.unique(photos.people), several)
    count = min(FOLDS, len(several), (len(several) + len(single)) // 2)
    if count < 2:
        return None
    fold_of = np.full(photos.everybody, -1, np.int64)
    dealt = np.concatenate([random.permutation(several), random.permutation(single)])
    fold_of[dealt] = np.arange(len(dealt)) % count
    mated_fold = fold_of[photos.people[pairing.mated[:, 0]]]
    both = fold_of[photos.people[pairing.non_mated]]
    non_mated_fold = np.where(both[:, 0] == both[:, 1], both[:, 0], -1)
    mated, non_mated = [], []
    for fold in range(count):
        mine, others = (random.permutation(np.flatnonzero(each == fold)) for each in (mated_fold, non_mated_fold))
        most = min(_MOST_A_FOLD, len(mine), len(others))
        mated.append(mine[:most])
        non_mated.append(others[:most])
    rows, other_rows = np.concatenate(mated), np.concatenate(non_mated)
    if not len(rows):
        return None
    return Folds(rows, other_rows, mated_fold[rows], non_mated_fold[other_rows], np.empty(0, np.int64), drawn=True)


def listed_folds(same: NDArray[np.bool_], faceless: NDArray[np.bool_], folds: Labels | None, seed: int = 0) -> Folds:
    """The folds of listed pairs: those given, or ten drawn with equal shares of both kinds.

    Args:
        same: (p,) whether each pair is mated.
        faceless: (p,) whether one of its photos has no face.
        folds: (p,) as the file gives them.
        seed: For those that are drawn.
    """
    if folds is None:
        folds = protocols.even_folds(same, FOLDS, seed)
    compared = ~same & ~faceless
    return Folds(
        np.arange(int(same.sum())),
        np.arange(int(compared.sum())),
        folds[same],
        folds[compared],
        folds[~same & faceless],
        drawn=False,
    )


def accuracy(scored: Scored, folds: Folds) -> Accuracy | None:
    """The share of pairs decided rightly, fold by fold; a pair with a photo without a face is rejected.

    None where the other folds of a fold lack pairs to choose a threshold by.
    """
    mated, non_mated = scored.mated[folds.mated], scored.non_mated[folds.non_mated]
    said = np.concatenate([mated, non_mated])
    same = np.arange(len(said)) < len(mated)
    fold = np.concatenate([folds.fold_of_mated, folds.fold_of_non_mated])
    seen = said > UNDETECTED
    shares: list[float] = []
    for held_out in np.unique(np.concatenate([fold, folds.rejected])).tolist():
        test, train = fold == held_out, (fold != held_out) & seen
        if len(np.unique(same[train])) != 2:
            return None
        threshold = protocols.best_threshold(said[train], same[train])
        right = int((((said >= threshold) & seen)[test] == same[test]).sum())
        rejected = int((folds.rejected == held_out).sum())
        shares.append((right + rejected) / (int(test.sum()) + rejected))
    if len(shares) < 2:
        return None
    pairs = len(said) + len(folds.rejected)
    return Accuracy(float(np.mean(shares)), float(np.std(shares, ddof=1)), len(shares), pairs, folds.drawn)
