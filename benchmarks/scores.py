"""Ways to score a person by several enrolled faces, each with the settings that :mod:`benchmarks.ranking` chooses among."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.templates import templates
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

Scores = NDArray[np.float32]
"""(q, people) float32, higher is more alike."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The enrolled faces, person by person."""

    vectors: Vectors
    owners: Labels
    """Of each face, its person: 0, 1, ... in order."""
    starts: Labels
    """Where each person begins."""
    judged: Mapping[str, NDArray[np.float64]]
    """What was judged of each face, 0 to 1, by what it is."""

    @property
    def counts(self) -> Labels:
        """How many faces each person has."""
        return np.diff(self.starts, append=len(self.owners))

    def sums(self) -> Vectors:
        """(people, d): the sum of each person's faces."""
        sums: Vectors = np.add.reduceat(self.vectors, self.starts, axis=0)
        return sums


Way = Callable[[Scores, Enrolled], Scores]
"""From the similarities of q probes with n faces, (q, n), to the scores of their people."""

Weights = Callable[[Enrolled], NDArray[np.float64]]
"""How much each face counts in its person's template: (n,), 0 for not at all."""

MEAN = "mean template"
_POWERS = (0.5, 1, 2, 4)
_SCORE_POWERS = (1, 8, 64)
_LEAST = (0.2, 0.3, 0.4)
_RAISES = (0.5, 1, 2)
_SHARES = (0.25, 0.5, 0.75)
_NEAREST = (2, 3)


def mean_template(similarities: Scores, enrolled: Enrolled) -> Scores:
    """What a search does, by way of the similarities of the faces."""
    _, means = templates(enrolled.vectors, enrolled.owners)
    lengths = (enrolled.sums() * means).sum(1)
    return _over(lengths, _by_person(np.add, similarities, enrolled))


def best_face(similarities: Scores, enrolled: Enrolled) -> Scores:
    """The similarity of the most similar face."""
    return _by_person(np.maximum, similarities, enrolled)


def _mixed(share: float) -> Way:
    """*share* of the best face, the rest of the mean template."""

    def scored(similarities: Scores, enrolled: Enrolled) -> Scores:
        best, mean = best_face(similarities, enrolled), mean_template(similarities, enrolled)
        return np.float32(share) * best + np.float32(1 - share) * mean

    return scored


def _nearest(k: int) -> Way:
    """The mean of the *k* most similar faces, or of all where there are fewer."""

    def scored(similarities: Scores, enrolled: Enrolled) -> Scores:
        order = np.lexsort((-similarities, np.broadcast_to(enrolled.owners, similarities.shape)))
        ranked = np.take_along_axis(similarities, order, 1)
        place = np.arange(len(enrolled.owners)) - enrolled.starts[enrolled.owners]
        counted = (place < k).astype(np.float32)
        return _over(np.minimum(enrolled.counts, k), _by_person(np.add, ranked * counted, enrolled))

    return scored


def mean_similarity(similarities: Scores, enrolled: Enrolled) -> Scores:
    """The mean of the similarities of all faces: the mean template before it is renormalised."""
    return _over(enrolled.counts, _by_person(np.add, similarities, enrolled))


def _raised(power: float) -> Way:
    """The mean template's, divided by (r / expected r) to the *power*, r being the length of a person's mean face.

    So a person whose faces differ more than others' is reached more easily. What is expected follows from how many faces
    there are, and from how alike two faces of one person are on average in this gallery.
    """

    def scored(similarities: Scores, enrolled: Enrolled) -> Scores:
        counts = enrolled.counts
        squares = (enrolled.sums() ** 2).sum(1) / counts**2
        pairs = counts * (counts - 1)
        alike = float((squares * counts**2 - counts).sum() / max(pairs.sum(), 1))
        expected = 1 / counts + (1 - 1 / counts) * alike
        return _over((squares / expected) ** (power / 2), mean_template(similarities, enrolled))

    return scored


def _weighted(weights: Weights) -> Way:
    """The template of faces that count differently."""

    def scored(similarities: Scores, enrolled: Enrolled) -> Scores:
        weight = np.maximum(weights(enrolled), 1e-6).astype(np.float32)
        norms = np.linalg.norm(np.add.reduceat(enrolled.vectors * weight[:, None], enrolled.starts, axis=0), axis=1)
        return _over(norms, _by_person(np.add, similarities * weight, enrolled))

    return scored


def _judged(name: str, power: float) -> Way:
    return _weighted(lambda enrolled: np.maximum(enrolled.judged[name], 0.01) ** power)


def _over(lengths: NDArray[Any], sums: Scores) -> Scores:
    quotients: Scores = np.divide(sums, lengths.astype(np.float32))
    return quotients


def _by_person(put_together: np.ufunc, similarities: Scores, enrolled: Enrolled) -> Scores:
    found: Scores = put_together.reduceat(similarities, enrolled.starts, axis=1)
    return found


def agreement(enrolled: Enrolled) -> NDArray[np.float64]:
    """(n,): the mean similarity of each face with its person's others; 1 for an only one."""
    sums = enrolled.sums()[enrolled.owners]
    counts = enrolled.counts[enrolled.owners]
    with_others = (enrolled.vectors * sums).sum(1) - 1
    return np.where(counts > 1, with_others / np.maximum(counts - 1, 1), 1.0)


def _most_agreeing(enrolled: Enrolled) -> NDArray[np.float64]:
    """1 for the medoid, 0 for the others. Of two faces the first."""
    agreed = agreement(enrolled)
    order = np.lexsort((-agreed, enrolled.owners))
    only = np.zeros(len(agreed))
    only[order[enrolled.starts]] = 1
    return only


def _without_the_least(enrolled: Enrolled) -> NDArray[np.float64]:
    """0 for the face that agrees least with the others, of three faces or more."""
    order = np.lexsort((agreement(enrolled), enrolled.owners))
    counts = enrolled.counts
    kept = np.ones(len(order))
    kept[order[enrolled.starts[counts > 2]]] = 0
    return kept


def _without_those_below(least: float) -> Weights:
    """0 for faces that agree less than *least* with their person's others, of three or more; the medoid stays."""

    def weights(enrolled: Enrolled) -> NDArray[np.float64]:
        few = enrolled.counts[enrolled.owners] < 3
        return np.maximum(few | (agreement(enrolled) >= least), _most_agreeing(enrolled))

    return weights


WAYS: Mapping[str, Mapping[str, Way]] = {
    MEAN: {"": mean_template},
    "best face": {"": best_face},
    "best face and mean": {f"share {share:g} best": _mixed(share) for share in _SHARES},
    "mean of the nearest k faces": {f"k {k}": _nearest(k) for k in _NEAREST},
    "mean similarity": {"": mean_similarity},
    "mean, raised where faces differ": {f"power {power:g}": _raised(power) for power in _RAISES},
    "weighted by quality": {f"power {power:g}": _judged("quality", power) for power in _POWERS},
    "weighted by sharpness": {f"power {power:g}": _judged("sharpness", power) for power in _POWERS},
    "weighted by detector's score": {f"power {power}": _judged("detector", power) for power in _SCORE_POWERS},
    "medoid": {"": _weighted(_most_agreeing)},
    "without the outlier": {
        "the least agreeing of three or more": _weighted(_without_the_least),
        **{f"below {least}": _weighted(_without_those_below(least)) for least in _LEAST},
    },
    "weighted by agreement": {
        f"power {power:g}": _weighted(lambda e, p=power: np.maximum(agreement(e), 0.05) ** p)  # type: ignore[misc]
        for power in _POWERS
    },
}
"""Ways to score, each by its settings. The first is what is used."""
