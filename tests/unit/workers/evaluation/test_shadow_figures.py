"""What is said of two models: counts by hand, and what must hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.workers.evaluation.sets import vectors_of
from tests.unit.workers.evaluation.shadows import angles, numbered, shadow
from workers.evaluation.shadow import asked
from workers.evaluation.shadow_figures import accuracy, of_gallery, of_queries, shifted, unsaid

PAIRS = np.arange(80).repeat(3)


def test_who_comes_first_is_counted_before_and_after() -> None:
    """Before, Ben's second face is nearest to Cyn, whose only face is at 60 degrees; after, Ana's second one is nearest to Ben."""
    people = numbered(7, 7, 9, 9, 30)
    said = asked(shadow(angles(0, 20, 90, 70, 60), angles(0, 50, 90, 70, 180), people))

    figures = of_gallery(said, (0.9, 0.85))

    assert figures["searches"] == {"mated": 4, "all": 5, "people": 3}
    assert figures["rank1"] == {"both_right": 2, "only_before": 1, "only_after": 1, "neither": 0}
    assert figures["rank1_agreement"] == figures["overlap"]["1"]
    table = figures["decisions"]["mated"]
    assert figures["decisions"]["thresholds"] == {"before": 0.9, "after": 0.85}
    assert {(was, now): n for was, row in table.items() for now, n in row.items() if n} == {
        ("right", "unknown"): 1,
        ("right", "wrong"): 1,
        ("right", "right"): 1,
        ("wrong", "right"): 1,
    }
    assert figures["decisions"]["changed"] == 3


def test_nothing_is_said_of_places_that_nearly_everybody_has() -> None:
    """Of three people the first five are all of them."""
    people = numbered(1, 1, 2, 2, 3)
    said = asked(shadow(angles(0, 10, 90, 95, 200), angles(0, 10, 90, 95, 200), people))

    figures = {"gallery": of_gallery(said, (None, 0.5)), "queries": of_queries(said, (None, 0.5))}

    assert figures["gallery"] is not None
    assert figures["gallery"]["overlap"] == {"1": 1.0, "5": None, "10": None}
    assert figures["gallery"]["decisions"] is None
    assert figures["queries"] is None
    assert set(unsaid(said, figures)) == {
        "gallery.overlap.5",
        "gallery.overlap.10",
        "gallery.decisions",
        "queries",
    }


def test_one_person_can_be_compared_with_nobody() -> None:
    """Everything that needs others is null, and says so."""
    seen, people = angles(0, 10), numbered(5, 5)
    pair = shadow(seen, seen, people)
    said = asked(pair)

    figures = of_gallery(said, (0.5, 0.5))
    measured, why = accuracy(pair, said, draws=10, seed=0)

    assert figures["overlap"] == {"1": None, "5": None, "10": None}
    assert (figures["rank1"], figures["decisions"], figures["scores"]["non_mated"]) == (None, None, None)
    assert set(measured.values()) == {None}
    assert "1 people, 1 with two photos: 4 are needed" in why["accuracy.rank1"]


@given(st.floats(-0.2, 0.2), st.integers(0, 2**32 - 1))
def test_the_shift_of_scores_is_what_they_were_shifted_by(shift: float, seed: int) -> None:
    """In every quantile, in the mean and in the median."""
    before = np.random.default_rng(seed).uniform(-0.8, 0.8, 50).astype(np.float32)

    said = shifted(before, (before + np.float32(shift)).astype(np.float32))

    assert said is not None
    assert said["mean_shift"] == pytest.approx(shift, abs=1e-5)
    assert said["median_shift"] == pytest.approx(shift, abs=1e-5)
    for share, level in said["before"]["quantiles"].items():
        assert said["after"]["quantiles"][share] == pytest.approx(level + shift, abs=1e-5)


def test_a_model_is_as_accurate_as_itself() -> None:
    """The change is nothing, and its interval too: both are drawn with the same people."""
    seen = vectors_of(80, 3, 0.9)
    pair = shadow(seen, seen, PAIRS)

    measured, why = accuracy(pair, asked(pair), draws=50, seed=0)

    assert why == {}
    for found in measured.values():
        assert found["difference"] == 0
        assert found["difference_interval"] == [0, 0]
        assert found["before_interval"][0] <= found["before"] <= found["before_interval"][1]


def test_a_model_that_is_worse_is_seen_to_be_worse() -> None:
    """By all three figures, with intervals that leave zero out."""
    pair = shadow(vectors_of(80, 3, 0.6), vectors_of(80, 3, 1.6), PAIRS)

    measured, _ = accuracy(pair, asked(pair), draws=100, seed=0)

    assert measured["rank1"]["difference"] < -0.05
    assert measured["tmr_at_fmr_1e-3"]["difference_interval"][1] < 0
    assert measured["fnir_at_fpir_5e-2"]["difference_interval"][0] > 0


def test_too_few_pairs_are_said_to_be_too_few() -> None:
    """Ten people with two photos give 180 pairs of two people; 3,000 are needed for a rate of 1e-3."""
    people = np.arange(10).repeat(2)
    pair = shadow(vectors_of(10, 2, 0.5), vectors_of(10, 2, 0.5), people)

    measured, why = accuracy(pair, asked(pair), draws=10, seed=0)

    assert measured["rank1"] is not None
    assert why["accuracy.tmr_at_fmr_1e-3"] == "Not enough pairs of two people: 180; 3,000 are needed."
    assert why["accuracy.fnir_at_fpir_5e-2"].startswith("Too few people to be strangers: 10")


def test_recent_searches_are_compared_without_knowing_whom_they_show() -> None:
    """Three queries: the same person, another one, and one that is named only before."""
    people = numbered(1, 2, 3)
    seen = angles(0, 90, 180)
    queries = angles(2, 3, 4), angles(2, 88, 45)
    said = asked(shadow(seen, seen, people, queries=queries))

    figures = of_queries(said, (0.95, 0.95))

    assert figures is not None
    assert figures["count"] == 3
    assert figures["overlap"]["1"] == pytest.approx(2 / 3 if said.queries[1].first[2, 0] == 0 else 1 / 3, abs=1e-5)
    assert figures["decisions"] == {
        "same_person": 1,
        "another_person": 1,
        "no_longer_named": 1,
        "newly_named": 0,
        "unknown_to_both": 0,
    }
