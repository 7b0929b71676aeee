"""Training a Siamese head on a model's vectors: a logistic regression over the absolute difference of two of them.

What is regularised is how far the weights depart from being all the same: with the strongest regularisation the head is the
L1 distance with a threshold, with none it is free. How strong is chosen by cross-validation over people.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from workers.faces.values import Vectors
from workers.galleries import ListedPairs
from workers.models.heads import Head
from workers.training.siamese_pairs import PairList, Rows, among, balanced, folds_of
from workers.training.siamese_pairs import figures as figures_of

STRENGTHS: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2)
"""scikit-learn's C, rising: larger is freer."""

MOST_MATED = 20_000
FOLDS = 4
_COMMON = 100.0
"""Scale of the column that all weights share; its weight is as good as not regularised."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A head, and how its regularisation was chosen."""

    head: Head
    strength: float
    figures: dict[str, dict[str, float]]
    """On people held out, each once, the mean over the folds: by figure, of the ``head`` and of the ``cosine``."""
    pairs: int


def train(
    vectors: Vectors,
    people: Rows,
    *,
    seed: int,
    listed: ListedPairs | None = None,
    told: Callable[[int, int], None] | None = None,
    strengths: Sequence[float] = STRENGTHS,
) -> Trained:
    """Train a head: choose the regularisation on people held out, each once, then learn from all.

    Of the strengths whose figure lies within a standard error of the best one the strongest regularisation is taken.

    Args:
        vectors: (n, d) float32 of norm 1.
        people: (n,) int64.
        seed: Of the draws.
        listed: The pairs to learn from; without, balanced pairs of all that there are.
        told: Called with how many regressions are done and how many there are.
        strengths: What is tried.

    Raises:
        InvalidTraining: The people give no pairs of both kinds, with a part of them held out or at all.
    """
    random = np.random.default_rng(seed)
    folds = folds_of(people, FOLDS, random)
    judged: list[list[dict[str, float]]] = []
    by_cosine: list[dict[str, float]] = []
    for fold in range(FOLDS):
        learning = _pairs(people, folds != fold, listed, random).need_both("The people that are learnt from")
        judging = _pairs(people, folds == fold, listed, random).need_both("The people that are held out")
        first, second = vectors[judging.first], vectors[judging.second]
        by_cosine.append(_split(np.einsum("nd,nd->n", first, second), judging.same))
        judged.append([])
        for strength in strengths:
            head = _regression(vectors, learning, strength)
            judged[-1].append(_split(head.log_odds(first, second), judging.same))
            if told is not None:
                told(fold * len(strengths) + len(judged[-1]), FOLDS * len(strengths) + 1)
    place = _chosen(np.array([[said["AUC"] for said in fold] for fold in judged]).T)
    everything = _pairs(people, np.ones(len(people), np.bool_), listed, random)
    shown = [name for name in by_cosine[0] if all(name in said for said in by_cosine)]
    figures = {
        name: {
            "head": float(np.mean([fold[place][name] for fold in judged])),
            "cosine": float(np.mean([said[name] for said in by_cosine])),
        }
        for name in shown
    }
    head = _regression(vectors, everything, strengths[place])
    return Trained(head, strengths[place], figures, len(everything.same))


def _chosen(figures: NDArray[np.float64]) -> int:
    """The place of the first strength whose figures (strengths, folds) lie within a standard error of the best one's."""
    behind = figures[int(figures.mean(1).argmax())] - figures
    within = behind.mean(1) <= behind.std(1, ddof=1) / FOLDS**0.5
    return int(np.flatnonzero(within)[0])


def _split(scores: NDArray[np.float32], same: NDArray[np.bool_]) -> dict[str, float]:
    return figures_of(scores[same], scores[~same])


def _pairs(people: Rows, kept: NDArray[np.bool_], listed: ListedPairs | None, random: np.random.Generator) -> PairList:
    """The pairs of those photos, as rows of all: of the list, or balanced ones of all."""
    rows = np.flatnonzero(kept)
    found = balanced(people[rows], random, most=MOST_MATED) if listed is None else among(listed, rows)
    return PairList(rows[found.first], rows[found.second], found.same)


def _regression(vectors: Vectors, pairs: PairList, strength: float) -> Head:
    differences = np.abs(vectors[pairs.first] - vectors[pairs.second]).astype(np.float64)
    scale = 1 / differences.mean()
    columns = np.concatenate([differences * scale, differences.mean(1, keepdims=True) * scale * _COMMON], 1)
    model = LogisticRegression(C=strength, class_weight="balanced", solver="newton-cholesky").fit(columns, pairs.same)
    own, common = model.coef_[0, :-1] * scale, model.coef_[0, -1] * scale * _COMMON / vectors.shape[1]
    return Head((own + common).astype(np.float32), float(model.intercept_[0]))
