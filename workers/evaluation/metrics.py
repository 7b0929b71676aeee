"""Rates from similarities: how often the wrong are taken for the same (FMR), how often the same are missed (FNMR).

Words and definitions are those of ISO/IEC 19795-1. A pair is accepted when its similarity is *at or above* the threshold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.templates import templates
from workers.faces.values import Vectors

Similarities = NDArray[np.float32]
"""(n,) float32 cosines in [-1, 1]."""

Labels = NDArray[np.int64]
"""(n,) int64: whose face each row is."""

LEAST_EVENTS = 3
"""A rate is shown where at least so many false acceptances are allowed: fewer than 3 / rate pairs, even without a single
false match among them, would not show with 95% confidence that the rate is kept (the rule of three)."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Similarities of all pairs of a set: of faces of one person (mated), and of two (non-mated)."""

    mated: Similarities
    non_mated: Similarities


def all_pairs(vectors: Vectors, people: Labels) -> Pairs:
    """Every pair of different rows, once. For 2,000 rows that is 2 million pairs and 40 MB."""
    return split(vectors @ vectors.T, people)


def split(similarities: NDArray[np.float32], people: Labels) -> Pairs:
    """The upper half of a square of *similarities* of all with all, by whether the two are one person."""
    upper = np.triu(np.ones(similarities.shape, bool), 1)
    same = people[:, None] == people[None]
    return Pairs(similarities[upper & same], similarities[upper & ~same])


def threshold_at(non_mated: Similarities, rate: float) -> float:
    """The least similarity at or above which no more than a share *rate* of *non_mated* lies.

    Args:
        non_mated: At least one similarity.
        rate: In [0, 1); below one in ``len(non_mated)`` the threshold lies just above the greatest.
    """
    allowed = int(np.floor(rate * len(non_mated) * (1 + 1e-12)))
    worst = np.partition(non_mated, len(non_mated) - 1 - allowed)[len(non_mated) - 1 - allowed]
    return float(np.nextafter(worst, np.float32(2), dtype=np.float32))


def can_show(rate: float, count: int) -> bool:
    """Whether *count* non-mated pairs or searches are enough to speak of *rate*."""
    return rate * count >= LEAST_EVENTS * (1 - 1e-9)


def share_accepted(similarities: Similarities, threshold: float) -> float:
    """The share at or above *threshold*; of mated pairs the TMR, of non-mated ones the FMR. NaN of none."""
    return float((similarities >= np.float32(threshold)).mean()) if len(similarities) else float("nan")


def equal_error_rate(pairs: Pairs) -> float:
    """The rate at the threshold where as large a share of mated pairs is refused as of non-mated ones is accepted."""
    mated, non_mated = np.sort(pairs.mated), np.sort(pairs.non_mated)
    thresholds = np.concatenate([mated, non_mated])
    missed = np.searchsorted(mated, thresholds, "left") / len(mated)
    accepted = 1 - np.searchsorted(non_mated, thresholds, "left") / len(non_mated)
    nearest = int(np.argmin(np.abs(missed - accepted)))
    return float(missed[nearest] + accepted[nearest]) / 2


def area_under_roc(pairs: Pairs) -> float:
    """The chance that a mated pair is more similar than a non-mated one; ties count half."""
    non_mated = np.sort(pairs.non_mated)
    below = np.searchsorted(non_mated, pairs.mated, "left").astype(np.float64)
    up_to = np.searchsorted(non_mated, pairs.mated, "right")
    return float((below + up_to).mean() / (2 * len(non_mated)))


def person_scores(probes: Vectors, enrolled: Vectors, people: Labels) -> tuple[Labels, NDArray[np.float32]]:
    """What a search would say: the score of every person for every probe, as :mod:`index.ranking` has it.

    Args:
        probes: (q, d) float32 of norm 1; q may be 0.
        enrolled: (n, d) float32 of norm 1, n at least 1.
        people: (n,) int64: whose face each row of *enrolled* is.

    Returns:
        The people, rising, and (q, people) float32 cosines with their templates.
    """
    named, means = templates(enrolled, people)
    return named, probes @ means.T
