"""Intervals by drawing people anew."""

import numpy as np
import pytest

from tests.unit.workers.evaluation.sets import photos_of, vectors_of
from workers.evaluation import bootstrap, metrics, pairing


def test_each_draw_is_the_figure_of_the_people_drawn() -> None:
    """Written out: every pair as often as its people were drawn."""
    photos, vectors = photos_of(people=30, photos=4), vectors_of(30, 4, 1.6)
    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors, photos, pairs)
    weights = bootstrap.drawn(30, draws=5)

    draws = bootstrap.tmr_draws(said, pairs, photos, (0.01, 0.05), weights)

    whose = photos.people[pairs.non_mated]
    for mine, at_1, at_5 in zip(weights, draws[0.01], draws[0.05], strict=True):
        mated = said.mated.repeat(mine[photos.people[pairs.mated[:, 0]]].astype(int))
        non_mated = said.non_mated.repeat((mine[whose[:, 0]] * mine[whose[:, 1]]).astype(int))
        for rate, tmr in ((0.01, at_1), (0.05, at_5)):
            assert tmr == pytest.approx(metrics.share_accepted(mated, metrics.threshold_at(non_mated, rate)))


@pytest.mark.slow
def test_an_interval_holds_the_figure_of_other_people_of_the_same_kind() -> None:
    """At least four times in five of twenty sets, where nineteen of twenty are aimed at."""
    truth, inside = _tmr(people=600, seed=99)[0], 0
    for seed in range(20):
        _, interval = _tmr(people=60, seed=seed)
        inside += interval[0] <= truth <= interval[1]

    assert inside >= 16


def test_a_share_that_is_the_same_for_everybody_has_no_width() -> None:
    """And people without trials do not count."""
    hits, counts = np.array([1.0, 2, 0, 3]), np.array([2.0, 4, 0, 6])

    assert bootstrap.share_interval(hits, counts, bootstrap.drawn(4)) == pytest.approx((0.5, 0.5))


def test_nothing_to_draw_from_gives_no_interval() -> None:
    """Rather than a made-up one."""
    nothing = np.zeros(3)

    assert bootstrap.share_interval(nothing, nothing, bootstrap.drawn(3)) is None


def _tmr(people: int, seed: int) -> tuple[float, bootstrap.Interval]:
    photos, vectors = photos_of(people, 3), vectors_of(people, 3, 1.2, seed=seed)
    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors, photos, pairs)
    draws = bootstrap.tmr_draws(said, pairs, photos, (0.01,), bootstrap.drawn(people, draws=200))
    interval = bootstrap.interval(draws[0.01])
    assert interval is not None
    return metrics.share_accepted(said.mated, metrics.threshold_at(said.non_mated, 0.01)), interval
