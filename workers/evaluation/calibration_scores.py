"""The scores that a calibration is fitted on: strangers against people, as a search would score them, and people's own.

A probe is a photo of one person; it is scored against the *templates* of all others (:mod:`index.templates`), and against
its own person's template without it. Every probe counts the same, at most 15 of one person, so that the few with hundreds
of photos do not decide. Scores are kept as *levels*, of which there are 4,096 between the cosines -1 and 1, so that a rate
is a histogram, and so is that of each bootstrap replicate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.templates import templates
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

LEVELS = 4096

_MOST_COMPARED = 1_000
"""People compared all with all for the FMR: half a million pairs of people."""
_MOST_STRANGERS = 2_000
"""People asked for as strangers of all others for the FPIR."""
_MOST_GALLERY = 100_000
"""People whom they are looked for among: 200 MB of templates."""
_MOST_PHOTOS = 15
"""Photos asked with of one person."""
_MOST_SCORES = 4_000_000
"""Comparisons for the FMR: 100 MB."""
_MOST_NEAREST = 1_000_000
"""Nearest others kept for the FPIR."""
_NEAREST = 64
"""Of each probe so many nearest people are kept; in an eighth of all, none of them is enrolled for 2 probes in 10,000."""
_AT_ONCE = 256

Levels = NDArray[np.uint16]
"""Scores from 0 to ``LEVELS`` - 1. A score is at or above the cosine ``cosine(level)`` when its level is at or above it."""


@dataclass(frozen=True, slots=True)
class Own:
    """Mated probes: photos of people with two or more faces, each scored with its person's template without it."""

    persons: Labels
    """(m,) whose each is, from 0."""
    levels: Levels
    """(m,)"""
    nearer: NDArray[np.int64]
    """(m,) how many others score higher, as far as the nearest of them are known."""


@dataclass(frozen=True, slots=True)
class Matches:
    """All comparisons of probes with people who are somebody else."""

    people: int
    probes: Labels
    """(n,) the person whose photo is compared, 0 to people - 1."""
    others: Labels
    """(n,) with whom."""
    levels: Levels
    """(n,)"""
    own: Own


@dataclass(frozen=True, slots=True)
class Searches:
    """The nearest others of each probe: what a search for a stranger would find."""

    people: int
    """How many are enrolled."""
    strangers: int
    """How many of them are asked for."""
    probes: Labels
    """(p,) the person whose photo each is, 0 to people - 1."""
    nearest: Labels
    """(p, k) others, best first."""
    levels: Levels
    """(p, k)"""
    own: Own


def level_of(similarities: NDArray[np.floating]) -> Levels:
    """Cosines as levels; what is beyond -1 and 1 by rounding counts as these."""
    scaled = np.floor((similarities.astype(np.float64) + 1) * (LEVELS / 2))
    return np.clip(scaled, 0, LEVELS - 1).astype(np.uint16)


def cosine(level: int) -> float:
    """The least cosine of a level."""
    return level / (LEVELS / 2) - 1


def matches(vectors: Vectors, people: Labels, *, one_photo: bool, seed: int) -> Matches:
    """Probes against people, all with all; of more than 1,000 people, that many drawn by lot.

    Args:
        vectors: (n, d) float32 of norm 1.
        people: (n,) whose each is; any numbers, at least two different ones.
        one_photo: A person is known by one of their photos, drawn by lot, and not by all.
        seed: Of the lot.
    """
    random = np.random.default_rng(seed)
    compared = drawn(np.unique(people), _MOST_COMPARED, random)
    rows = np.flatnonzero(np.isin(people, compared))
    numbers = np.searchsorted(compared, people[rows])
    kept = _one_each(numbers, random) if one_photo else np.arange(len(rows))
    _, means = templates(vectors[rows[kept]], numbers[kept])
    asked = _probes(numbers, _MOST_SCORES // len(compared), random)
    similarities = vectors[rows[asked]] @ means.T
    persons = numbers[asked]
    other = np.ones(similarities.shape, bool)
    other[np.arange(len(asked)), persons] = False
    probe, against = np.nonzero(other)
    if one_photo:
        enrolled = rows[kept][persons]
        mated = enrolled != rows[asked]
        scores = np.einsum("ij,ij->i", vectors[rows[asked]], vectors[enrolled])
    else:
        scores, mated = without(vectors[rows], numbers, asked)
    own = Own(persons[mated], level_of(scores[mated]), np.zeros(mated.sum(), np.int64))
    return Matches(len(compared), persons[probe], against, level_of(similarities[other]), own)


def searches(vectors: Vectors, people: Labels, *, seed: int) -> Searches:
    """The nearest others of each probe among everybody; of very many, among people drawn by lot.

    Arguments as for :func:`matches`.
    """
    random = np.random.default_rng(seed)
    enrolled = drawn(np.unique(people), _MOST_GALLERY, random)
    rows = np.flatnonzero(np.isin(people, enrolled))
    numbers = np.searchsorted(enrolled, people[rows])
    _, means = templates(vectors[rows], numbers)
    strangers = drawn(np.arange(len(enrolled)), _MOST_STRANGERS, random)
    eligible = np.flatnonzero(np.isin(numbers, strangers))
    asked = eligible[_probes(numbers[eligible], _MOST_NEAREST // _NEAREST, random)]
    persons = numbers[asked]
    most = min(_NEAREST, len(enrolled) - 1)
    nearest = np.empty((len(asked), most), np.int64)
    levels = np.empty((len(asked), most), np.uint16)
    for start in range(0, len(asked), _AT_ONCE):
        here = slice(start, start + _AT_ONCE)
        similarities = vectors[rows[asked[here]]] @ means.T
        similarities[np.arange(len(similarities)), persons[here]] = -np.inf
        best = np.argpartition(-similarities, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(similarities, best, 1), axis=1, kind="stable")
        nearest[here] = np.take_along_axis(best, order, 1)
        levels[here] = level_of(np.take_along_axis(similarities, nearest[here], 1))
    scores, mated = without(vectors[rows], numbers, asked)
    own_levels = level_of(scores[mated])
    nearer = (levels[mated] > own_levels[:, None]).sum(1)
    own = Own(persons[mated], own_levels, nearer)
    return Searches(len(enrolled), len(strangers), persons, nearest, levels, own)


def without(vectors: Vectors, numbers: Labels, asked: Labels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The cosine of each asked row with the template of its person's other faces, and whether there are others."""
    counts = np.bincount(numbers)
    sums = np.zeros((len(counts), vectors.shape[1]), np.float32)
    np.add.at(sums, numbers, vectors)
    scores = np.zeros(len(asked), np.float32)
    for start in range(0, len(asked), _AT_ONCE):
        here = asked[start : start + _AT_ONCE]
        rest = sums[numbers[here]] - vectors[here]
        norms = np.maximum(np.linalg.norm(rest, axis=1), 1e-6)
        scores[start : start + len(here)] = np.einsum("ij,ij->i", rest, vectors[here]) / norms
    return scores, counts[numbers[asked]] > 1


def _probes(numbers: Labels, most: int, random: np.random.Generator) -> Labels:
    """Rows to ask with, at most *most* and 15 of each person, drawn by lot; one of each at least."""
    order = random.permutation(len(numbers))
    order = order[np.argsort(numbers[order], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(numbers[order], numbers[order])
    up_to = np.cumsum(np.bincount(place))[:_MOST_PHOTOS]
    photos = max(int(np.searchsorted(up_to, most, "right")), 1)
    return np.sort(order[place < photos])


def _one_each(numbers: Labels, random: np.random.Generator) -> Labels:
    """A row of each person, drawn by lot, in the order of their numbers."""
    chosen = _probes(numbers, 0, random)
    return chosen[np.argsort(numbers[chosen])]


def drawn(which: Labels, most: int, random: np.random.Generator) -> Labels:
    """*which*, rising; of more than *most*, that many drawn by lot."""
    return which if len(which) <= most else np.sort(random.choice(which, most, replace=False))
