"""Identification: who is this, among many, when some who are asked for are strangers? Searches as the service makes them.

A person's score is the cosine of the probe with their template (:mod:`index.templates`), as search has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.templates import templates
from workers.evaluation import bootstrap, metrics
from workers.evaluation.bootstrap import Interval, Weights
from workers.evaluation.metrics import Labels, Similarities
from workers.evaluation.pairing import UNDETECTED, Photos
from workers.faces.values import Vectors

RATES = (1e-1, 1e-2, 1e-3)
DRAWS = 40
ENROLLED = 5
"""Photos a person, at most."""
RANKS = 20
_MOST_PROBES = 5
"""Of each person in a draw."""
_MOST_STRANGERS = 420
_AT_ONCE = 512
_COMPARISONS = 4e8
"""Probes times people over all draws, beyond which fewer draws are made: 40 draws of 5 probes each of 1,000 people."""


@dataclass(frozen=True, slots=True)
class Searches:
    """The searches of all draws together."""

    own: Similarities
    """(s,): the best score of each mated search, whoever has it; UNDETECTED where the probe has no face."""
    rank: NDArray[np.int64]
    """(s,): the place of the person asked for, from 1."""
    people: Labels
    """(s,): whom each asks for."""
    strangers: Similarities
    """(t,): the best score of each non-mated search."""
    stranger_people: Labels
    """(t,)."""
    enrolled_people: int
    draws: int

    @property
    def first(self) -> NDArray[np.bool_]:
        """(s,): whether the person asked for is first."""
        return np.equal(self.rank, 1)


@dataclass(frozen=True, slots=True)
class AtRate:
    """What goes unnamed where a share of the strangers is named."""

    fnir: float
    interval: Interval | None
    threshold: float


@dataclass(frozen=True, slots=True)
class Identified:
    """1:N over one set."""

    rank1: float
    rank1_interval: Interval | None
    at_rate: dict[float, AtRate | None]
    """By FPIR; None where there are not enough strangers."""
    cmc: Sequence[float]
    """Share of mated searches whose person is among the first 1, 2, … :data:`RANKS`."""
    curve: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    """FPIR and FNIR, (k,) each, thinned for drawing."""
    people: int
    searches: int
    strangers: int
    draws: int


def search(
    vectors: Vectors,
    photos: Photos,
    gallery_people: int,
    *,
    enrolled: int = ENROLLED,
    draws: int = DRAWS,
    seed: int = 0,
) -> Searches:
    """Enrol *gallery_people* at random, ask for them and for strangers, and do so *draws* times.

    In each draw each person is enrolled with up to *enrolled* photos (one is always left to ask with, where there are
    two); up to five further photos of each are mated probes, and up to five photos of each of at most 420 other people are
    non-mated ones. Photos without a face are never enrolled; as mated probes they find nobody.
    """
    random = np.random.default_rng(seed)
    rows = {int(person): np.flatnonzero(photos.people == person) for person in np.unique(photos.people[: photos.found])}
    ids = np.array(list(rows))
    own, rank, people, strangers, stranger_people = [], [], [], [], []
    for _ in range(draws):
        order = random.permutation(ids)
        enrolled_rows: list[int] = []
        probes: list[int] = []
        for person in order[:gallery_people].tolist():
            mine = random.permutation(rows[person])
            kept = mine[mine < photos.found][: min(enrolled, max(1, len(mine) - 1))]
            enrolled_rows += kept.tolist()
            probes += mine[~np.isin(mine, kept)][:_MOST_PROBES].tolist()
        others = order[gallery_people : gallery_people + _MOST_STRANGERS].tolist()
        unknown = np.concatenate(
            [np.empty(0, np.int64)] + [random.permutation(rows[person])[:_MOST_PROBES] for person in others]
        )
        unknown = unknown[unknown < photos.found]
        named, means = templates(vectors[enrolled_rows], photos.people[enrolled_rows])
        asked = np.array(probes, np.int64)
        best, place = _asked(vectors, photos, asked, named, means)
        own.append(best)
        rank.append(place)
        people.append(photos.people[asked])
        strangers.append(_best(vectors, unknown, means))
        stranger_people.append(photos.people[unknown])
    return Searches(
        np.concatenate(own),
        np.concatenate(rank),
        np.concatenate(people),
        np.concatenate(strangers),
        np.concatenate(stranger_people),
        gallery_people,
        draws,
    )


def _asked(
    vectors: Vectors, photos: Photos, probes: Labels, named: Labels, means: Vectors
) -> tuple[Similarities, NDArray[np.int64]]:
    """The best score of each mated probe and the place of its person."""
    best = np.full(len(probes), UNDETECTED, np.float32)
    place = np.full(len(probes), len(named) + 1, np.int64)
    seen = np.flatnonzero(probes < photos.found)
    for start in range(0, len(seen), _AT_ONCE):
        some = seen[start : start + _AT_ONCE]
        scores = vectors[probes[some]] @ means.T
        mine = scores[np.arange(len(some)), np.searchsorted(named, photos.people[probes[some]])]
        best[some] = scores.max(1)
        place[some] = 1 + (scores > mine[:, None]).sum(1)
    return best, place


def _best(vectors: Vectors, probes: Labels, means: Vectors) -> Similarities:
    parts = [(vectors[probes[i : i + _AT_ONCE]] @ means.T).max(1) for i in range(0, len(probes), _AT_ONCE)]
    return np.concatenate([np.empty(0, np.float32), *parts]).astype(np.float32)


def why_not(photos: Photos) -> str | None:
    """Why nothing can be said of this set, or None where something can."""
    counts = np.bincount(photos.people, minlength=photos.everybody)
    faces = np.bincount(photos.people[: photos.found], minlength=photos.everybody)
    several = int(((counts > 1) & (faces > 0)).sum())
    people = int((faces > 0).sum())
    if several < 2 or people < 4:
        return f"{people} people, {several} with two photos: 4 are needed, 2 of them with two photos."
    return None


def identified(vectors: Vectors, photos: Photos, weights: Weights, seed: int = 0) -> Identified:
    """All figures of one model over a set of which :func:`why_not` says nothing: half of the people are enrolled."""
    people = len(np.unique(photos.people[: photos.found]))
    gallery = people // 2
    probes = min(len(photos.people), _MOST_PROBES * people)
    draws = int(np.clip(_COMPARISONS / (gallery * probes), 2, DRAWS))
    found = search(vectors, photos, gallery, draws=draws, seed=seed)
    strangers = len(found.strangers), photos.found
    shown = [
        rate for rate in RATES if metrics.can_show(rate, strangers[0]) and rate * strangers[1] >= 1 and len(found.own)
    ]
    intervals = bootstrap.fnir_intervals(
        found.own, found.first, found.people, found.strangers, found.stranger_people, shown, weights
    )
    at_rate: dict[float, AtRate | None] = dict.fromkeys(RATES)
    for rate in shown:
        threshold = metrics.threshold_at(found.strangers, rate)
        at_rate[rate] = AtRate(fnir(found, threshold), intervals.get(rate), threshold)
    trials = np.ones(len(found.own))
    hits, counts = (bootstrap.by_person(found.people, each, photos.everybody) for each in (found.first, trials))
    return Identified(
        float(found.first.mean()),
        bootstrap.share_interval(hits, counts, weights),
        at_rate,
        [float((found.rank <= rank).mean()) for rank in range(1, min(RANKS, gallery) + 1)],
        _curve(found),
        gallery,
        len(found.own),
        len(found.strangers),
        draws,
    )


def fnir(found: Searches, threshold: float) -> float:
    """The share of mated searches whose person is not first, or not at or above *threshold*."""
    return 1 - float((found.first & (found.own >= np.float32(threshold))).mean())


def _curve(found: Searches) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if not len(found.strangers) or not len(found.own):
        return None
    named = np.sort(np.where(found.first, found.own, np.float32(UNDETECTED)))
    strangers = np.sort(found.strangers)[::-1]
    places = np.unique(np.geomspace(min(metrics.LEAST_EVENTS, len(strangers)), len(strangers), 200).astype(np.int64))
    levels = strangers[places - 1]
    return places / len(strangers), np.searchsorted(named, levels, "left") / len(named)
