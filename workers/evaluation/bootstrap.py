"""Confidence intervals by drawing the people anew.

Pairs and searches that share a person are not independent, so what is drawn, with repetition, are people: a mated pair
counts as often as its person was drawn, a non-mated one as often as both were together, a search as often as its person.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.metrics import Labels, Similarities
from workers.evaluation.pairing import Pairing, Photos, Scored

DRAWS = 1000
_BOUNDS = (0.025, 0.975)
_TAIL = 4.0
"""Of the non-mated pairs, so many times the share of the largest rate asked for are looked at in each draw: no draw was
seen to need more than 2."""

Interval = tuple[float, float]
"""95%: from the 2.5th to the 97.5th percentile of the draws."""

Weights = NDArray[np.float32]
"""(draws, people): how often each was drawn."""

Draws = NDArray[np.float64]
"""(draws,): a figure in each draw; not a number where nobody drawn has what it takes."""


def drawn(people: int, draws: int = DRAWS, seed: int = 0) -> Weights:
    """How often each of *people* is drawn, (draws, people)."""
    random = np.random.default_rng(seed)
    return random.multinomial(people, np.full(people, 1 / people), size=draws).astype(np.float32)


def tmr_draws(
    scored: Scored, pairing: Pairing, photos: Photos, rates: Sequence[float], weights: Weights
) -> dict[float, Draws]:
    """The TMR at each FMR of *rates* in each draw, the threshold being found anew in each."""
    if not rates:
        return {}
    mated_order = np.argsort(-scored.mated, kind="stable")
    mated, mated_people = scored.mated[mated_order], photos.people[pairing.mated[mated_order, 0]]
    tail = min(len(scored.non_mated), max(20_000, int(_TAIL * max(rates) * len(scored.non_mated))))
    highest = np.argpartition(-scored.non_mated, tail - 1)[:tail]
    highest = highest[np.argsort(-scored.non_mated[highest], kind="stable")]
    non_mated, rows = scored.non_mated[highest], pairing.non_mated[highest]
    first, second = photos.people[rows[:, 0]], photos.people[rows[:, 1]]
    totals = _non_mated_totals(pairing, photos, weights)
    found = {rate: np.full(len(weights), np.nan) for rate in rates}
    for draw, (mine, total) in enumerate(zip(weights, totals.tolist(), strict=True)):
        accepted = np.concatenate([[0.0], np.cumsum(mine[mated_people], dtype=np.float64)])
        if total <= 0 or accepted[-1] <= 0:
            continue
        false = np.cumsum(mine[first] * mine[second], dtype=np.float64)
        for rate in rates:
            worst = int(np.searchsorted(false, rate * total * (1 + 1e-12), "right"))
            level = non_mated[min(worst, tail - 1)]
            above = int(np.searchsorted(-mated, -level, "left"))  # Strictly above: the threshold lies just over it.
            found[rate][draw] = accepted[above] / accepted[-1]
    return found


def _non_mated_totals(pairing: Pairing, photos: Photos, weights: Weights) -> NDArray[np.float64]:
    """The weight of all non-mated pairs that are looked at, (draws,)."""
    faces = np.bincount(photos.people[: photos.found], minlength=photos.everybody)
    return totals(photos.people[pairing.non_mated], faces, weights, even=not pairing.listed)


def totals(people: Labels, faces: NDArray[np.int64], weights: Weights, *, even: bool) -> NDArray[np.float64]:
    """The weight of non-mated pairs in each draw, (draws,).

    Args:
        people: (p, 2), of each pair.
        faces: (everybody,): how many photos of each person have a face.
        weights: From :func:`drawn`.
        even: The pairs are all that there are, or an even part of them: their weight then follows from *faces*. Those of a
            list are added up.
    """
    if not even or len(people) <= 50_000:
        return np.array([float(mine[people[:, 0]] @ mine[people[:, 1]]) for mine in weights])
    counts = faces.astype(np.float64)
    every = (counts.sum() ** 2 - (counts**2).sum()) / 2
    weighed = weights.astype(np.float64) * counts
    found: NDArray[np.float64] = (weighed.sum(1) ** 2 - (weighed**2).sum(1)) / 2 * (len(people) / every)
    return found


def share_interval(hits: NDArray[np.float64], counts: NDArray[np.float64], weights: Weights) -> Interval | None:
    """The interval of ``hits.sum() / counts.sum()``, both (people,): each person's hits among their trials."""
    return interval(share_draws(hits, counts, weights))


def share_draws(hits: NDArray[np.float64], counts: NDArray[np.float64], weights: Weights) -> Draws:
    """``hits.sum() / counts.sum()`` in each draw, both as for :func:`share_interval`."""
    wholes = weights @ counts
    shares = np.full(len(weights), np.nan)
    np.divide(weights @ hits, wholes, out=shares, where=wholes > 0)
    return shares


def pair_share_interval(hits: Labels, wholes: NDArray[np.float64], weights: Weights) -> Interval | None:
    """The interval of the share of non-mated pairs that are hit: *hits* (h, 2) are their people, *wholes* from :func:`totals`."""
    there = wholes > 0
    accepted = np.array([float(mine[hits[:, 0]] @ mine[hits[:, 1]]) for mine in weights])
    return interval(accepted[there] / wholes[there])


def fnir_intervals(
    own: Similarities,
    first: NDArray[np.bool_],
    mated_people: Labels,
    strangers: Similarities,
    stranger_people: Labels,
    rates: Sequence[float],
    weights: Weights,
) -> dict[float, Interval | None]:
    """The interval of the FNIR at each FPIR of *rates*; arguments as for :func:`fnir_draws`."""
    found = fnir_draws(own, first, mated_people, strangers, stranger_people, rates, weights)
    return {rate: interval(values) for rate, values in found.items()}


def fnir_draws(
    own: Similarities,
    first: NDArray[np.bool_],
    mated_people: Labels,
    strangers: Similarities,
    stranger_people: Labels,
    rates: Sequence[float],
    weights: Weights,
) -> dict[float, Draws]:
    """The FNIR at each FPIR of *rates* in each draw, the threshold being found anew in each.

    Args:
        own: (s,) the best score of each mated search.
        first: (s,) whether the right person is first.
        mated_people: (s,) whom it asks for.
        strangers: (t,) the best score of each non-mated search.
        stranger_people: (t,) who asks.
        rates: FPIR.
        weights: From :func:`drawn`.
    """
    order = np.argsort(-strangers, kind="stable")
    levels, who = strangers[order], stranger_people[order]
    score = np.where(first, own, np.float32(-np.inf))
    mated_order = np.argsort(-score, kind="stable")
    score, asked = score[mated_order], mated_people[mated_order]
    found = {rate: np.full(len(weights), np.nan) for rate in rates}
    for draw, mine in enumerate(weights):
        false = np.cumsum(mine[who], dtype=np.float64)
        named = np.concatenate([[0.0], np.cumsum(mine[asked], dtype=np.float64)])
        if not (len(false) and false[-1] > 0 and named[-1] > 0):
            continue
        for rate in rates:
            worst = int(np.searchsorted(false, rate * false[-1] * (1 + 1e-12), "right"))
            above = int(np.searchsorted(-score, -levels[min(worst, len(levels) - 1)], "left"))
            found[rate][draw] = 1 - named[above] / named[-1]
    return found


def interval(values: Draws) -> Interval | None:
    """95% of the draws of a figure."""
    there = values[np.isfinite(values)]
    if not len(there):
        return None
    low, high = np.quantile(there, _BOUNDS)
    return float(low), float(high)


def by_person(people: Labels, values: NDArray[np.generic], everybody: int) -> NDArray[np.float64]:
    """The sum of *values* of each person, (everybody,)."""
    return np.bincount(people, weights=values.astype(np.float64), minlength=everybody).astype(np.float64)
