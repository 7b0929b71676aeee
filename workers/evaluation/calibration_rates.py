"""Rates by level, and how far those of another group of people may be from them: a bootstrap over people.

A replicate draws as many people as there are, with replacement: the collection stands for all people like these, and the
replicate for a collection of them. What a threshold chosen on one replicate then costs on *another* is what fitting here
and deciding elsewhere costs. Its mean says by how much a threshold must be stricter for the mean rate to be the one asked
for; its spread is the interval that is stated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.calibration_scores import LEVELS, Matches, Own, Searches

Rates = NDArray[np.float64]
"""(…, LEVELS): the share at or above each level, falling."""

_INTERVAL = (0.025, 0.975)
_CORRECTIONS = 4
"""So often the rate aimed at is corrected; more change little."""
_STRIDES = (1, 5, 17, 43)
"""Each replicate is held against so many others, these places further on."""


@dataclass(frozen=True, slots=True)
class Decided:
    """Where to decide for one rate, and the rates of 95 of 100 other groups of as many people decided there."""

    level: int
    low: float
    high: float


def drawn(people: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """(replicates, people): how often each person is in each replicate."""
    random = np.random.default_rng(seed)
    return np.stack([np.bincount(random.integers(people, size=people), minlength=people) for _ in range(replicates)])


def match_rates(matches: Matches, times: NDArray[np.int64] | None = None) -> Rates:
    """(LEVELS,): FMR, the share of comparisons of a probe with somebody else that are accepted.

    Args:
        matches: Comparisons.
        times: (people,) how often each person counts; None is once.
    """
    if times is None:
        return _at_or_above(matches.levels, None)
    return _at_or_above(matches.levels, (times[matches.probes] * times[matches.others]).astype(np.float64))


def search_rates(searches: Searches, sizes: Sequence[int], times: NDArray[np.int64] | None = None) -> Rates:
    """(sizes, LEVELS): FPIR, the share of searches for strangers that name anybody.

    For a gallery of g of the others it is the mean over *all* galleries of g people that can be drawn from them: of a probe
    that k of M others accept, a share 1 - C(M - k, g) / C(M, g) of them has one of these. Galleries larger than all others
    together are extrapolated: at each level along the slope, in logarithms of size and rate, from half of them to all,
    which falls as galleries grow, so that the rate is rather over- than understated.

    Args:
        searches: What was found.
        sizes: How many are enrolled, rising.
        times: (people,) how often each person counts, as a stranger and in the gallery; None is once.
    """
    others = searches.people - 1
    half = max(others // 2, 1)
    within = [size for size in sizes if size <= others]
    exact = sorted({*within, half, others})
    if times is None:
        accepting = np.broadcast_to(np.arange(1, searches.levels.shape[1] + 1), searches.levels.shape)
        weights = np.ones(len(searches.probes))
    else:
        accepting = np.minimum(np.cumsum(times[searches.nearest], axis=1), others)
        weights = times[searches.probes].astype(np.float64)
    rates: dict[int, Rates] = {}
    for size in exact:
        named = (1 - _none_drawn(others, size))[accepting]
        mass = np.diff(named, axis=1, prepend=0.0) * weights[:, None]
        rates[size] = _at_or_above(searches.levels.ravel(), mass.ravel(), max(float(weights.sum()), 1.0))
    growth = np.divide(rates[others], rates[half], out=np.ones(LEVELS), where=rates[half] > 0)
    for size in sizes[len(within) :]:
        beyond = rates[others] * growth ** np.log2(size / others)
        rates[size] = np.maximum.accumulate(beyond[::-1])[::-1]  # Slopes differ; rates must fall all the same.
    return np.asarray(np.minimum(np.stack([rates[size] for size in sizes]), 1.0))


def missed(own: Own, others: int = 0, size: int = 1) -> Rates:
    """(LEVELS,): the share of mated probes that are not taken for their person: FNMR, or FNIR.

    Args:
        own: Mated probes; at least one.
        others: How many other people there are, for FNIR.
        size: In a gallery of so many people, the probe's own among them; another who scores higher is a miss, too.
    """
    drawn_others = min(size - 1, others)
    first = _none_drawn(others, drawn_others)[own.nearer] if others else np.ones(len(own.nearer))
    return np.asarray(np.clip(1 - _at_or_above(own.levels, first, float(len(first))), 0.0, 1.0))


def level_at(rates: Rates, rate: float) -> int:
    """The least level at or above which no more than *rate* lies; ``LEVELS`` - 1 where there is none."""
    return min(int(np.searchsorted(-rates, -rate * (1 + 1e-12))), LEVELS - 1)


def decided(rates: Rates, replicates: Rates, wanted: float) -> Decided | None:
    """Where to decide, so that the rate is *wanted* in the mean over other groups of people; None: it is higher at any level.

    Args:
        rates: (LEVELS,) of the collection.
        replicates: (replicates, LEVELS).
        wanted: In (0, 1).
    """
    in_the_mean, stricter = replicates.mean(0), wanted
    chosen = [level_at(each, stricter) for each in replicates]
    for _ in range(_CORRECTIONS):
        excess = float(in_the_mean[chosen].mean()) / wanted
        stricter = stricter / excess if excess > 0 else stricter
        chosen = [level_at(each, stricter) for each in replicates]
    if rates[-1] > stricter:
        return None
    places = np.arange(len(replicates))
    seen = np.concatenate([replicates[(places + stride) % len(places), chosen] for stride in _STRIDES])
    low, high = np.quantile(seen, _INTERVAL)
    return Decided(level_at(rates, stricter), float(low), float(high))


def _none_drawn(others: int, size: int) -> NDArray[np.float64]:
    """(others + 1,): the chance that none of the first k of *others* is among *size* drawn of them."""
    left = np.maximum(others - size - np.arange(others), 0) / (others - np.arange(others)) if others else np.empty(0)
    return np.concatenate([[1.0], np.cumprod(left)])


def _at_or_above(levels: NDArray[np.uint16], weights: NDArray[np.float64] | None, whole: float | None = None) -> Rates:
    """(LEVELS,): the weight of what is at or above each level, as a share of *whole*, or of all weights."""
    counted = np.bincount(levels, weights, LEVELS).astype(np.float64)
    return np.asarray(np.cumsum(counted[::-1])[::-1] / (max(float(counted.sum()), 1.0) if whole is None else whole))
