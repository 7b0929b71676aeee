"""What a calibration says is read alike wherever it is asked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.calibrated import Calibrated, needed_for
from services.errors import InvalidRequest

CURVES: dict[str, Any] = {
    "version": 1,
    "needs": {"fmr": 5, "fpir": 4, "mated": 10},
    "people": 200,
    "faces": 500,
    "compared": 200,
    "strangers": 200,
    "mated_people": 90,
    "fmr": [[0.2, 0.1, 0.09, 0.11, 0.001], [0.4, 0.01, 0.008, 0.013, 0.01], [0.5, 0.001, 0.0005, 0.002, 0.05]],
    "pairs": [[0.21, 0.1, 0.09, 0.11, None], [0.41, 0.01, 0.008, 0.013, None]],
    "fpir": {
        "0.1": [[50, 0.4, 0.05, 0.2, 0.01], [200, 0.5, 0.06, 0.15, 0.05], [400, 0.55, 0.05, 0.2, 0.1]],
        "0.02": [[50, 0.5, 0.01, 0.04, 0.05], [200, 0.6, 0.01, 0.05, 0.11]],
    },
}
READ = Calibrated(CURVES)


def test_the_rate_of_a_similarity_goes_with_its_logarithm_between_the_rows() -> None:
    assert READ.fmr_of(0.4) == pytest.approx(0.01)
    assert READ.fmr_of(0.45) == pytest.approx(0.01 * 10**-0.5)
    assert READ.fmr_of(-1.0) == pytest.approx(1)
    assert READ.fmr_of(0.4, "pairs") == pytest.approx(0.1 ** (1 + 0.19 / 0.2))


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_higher_similarity_never_has_a_higher_rate(one: float, other: float) -> None:
    low, high = READ.fmr_of(min(one, other)), READ.fmr_of(max(one, other))

    assert low is not None
    assert high is not None
    assert high <= low


def test_beyond_its_people_a_similarity_has_the_least_rate_that_can_be_told() -> None:
    assert READ.fmr_of(0.9) == READ.fmr_of(1.0) == READ.least("fmr") == 0.001
    assert READ.fmr_of(0.9, "pairs") == 0.01


@given(st.floats(0.001, 0.1))
def test_the_threshold_of_a_rate_has_that_rate(rate: float) -> None:
    assert READ.fmr_of(READ.at_fmr(rate).threshold) == pytest.approx(rate, rel=1e-6)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.floats(0.02, 0.1))
def test_a_larger_gallery_never_has_a_lower_threshold(one: int, other: int, rate: float) -> None:
    small, large = sorted((one, other))

    assert READ.at_fpir(rate, small).threshold <= READ.at_fpir(rate, large).threshold <= 1


def test_the_threshold_follows_the_gallery_beyond_the_table() -> None:
    assert READ.at_fpir(0.1, 100).threshold == pytest.approx(0.45)
    assert READ.at_fpir(0.1, 800).threshold == pytest.approx(0.6)
    assert READ.at_fpir(0.02, 800).threshold == pytest.approx(0.7)
    assert READ.at_fpir(0.02, 10**9).threshold == 1
    assert READ.at_fpir(0.1, 3) == READ.at_fpir(0.1, 50)


def test_between_two_rates_everything_is_between() -> None:
    strict, between, lax = READ.at_fpir(0.02, 200), READ.at_fpir(0.05, 200), READ.at_fpir(0.1, 200)

    assert strict.threshold > between.threshold > lax.threshold
    assert strict.missed is not None
    assert between.missed is not None
    assert lax.missed is not None
    assert strict.missed > between.missed > lax.missed
    assert between.low < 0.05 < between.high


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fmr": 0.0001}, "225 are needed, 25 more than there are. The least that can be told is 0.001"),
        ({"fpir": 0.001}, "4,000 are needed, 3,800 more than there are. The least that can be told is 0.02"),
        ({"fpir": 0.5}, "between 0.02 and 0.1"),
        ({"fmr": 0.5}, "between 0.001 and 0.1"),
    ],
)
def test_a_rate_without_enough_people_says_how_many_it_needs(asked: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        READ.at_fmr(asked["fmr"]) if "fmr" in asked else READ.at_fpir(asked["fpir"], 200)


@given(st.floats(1e-6, 0.5), st.sampled_from(["fmr", "fpir"]))
def test_one_person_fewer_than_needed_is_too_few(rate: float, what: Any) -> None:
    needed = needed_for(what, rate, CURVES["needs"])

    def expected(people: int) -> float:
        return people * (people - 1) * rate if what == "fmr" else people * rate

    assert expected(needed) >= CURVES["needs"][what] * (1 - 1e-6)
    assert expected(needed - 1) < CURVES["needs"][what] * (1 + 1e-6)


def test_each_target_is_told_with_its_cost() -> None:
    lines = READ.lines()

    assert lines[0] == "200 people with 500 faces; costs are counted on 90 with two or more."
    assert (
        lines[1]
        == "At 1% strangers named: not enough people: 400 are needed, 200 more than there are. The least that can be told is 0.02."
    )
    assert (
        lines[3]
        == "At 10% strangers named, 5% of known people go unnamed: from 0.500 on (6% to 15% named in another group like this)."
    )
    assert [row["people"] for row in READ.told(300)] == [300, 300, 300, None, None, None]
    assert "the cost cannot be told" not in " ".join(lines)


def test_it_is_stale_when_the_gallery_has_doubled_or_half_its_faces_have_changed() -> None:
    assert READ.stale(399, 249) is None
    assert "from 200 to 400 people" in (READ.stale(400, 200) or "")
    assert "from 200 to 100 people" in (READ.stale(100, 200) or "")
    assert "250 changes" in (READ.stale(210, 250) or "")


def test_one_without_tables_says_so() -> None:
    empty = Calibrated({**CURVES, "fmr": [], "pairs": [], "fpir": {}, "people": 2, "compared": 2, "strangers": 2})

    assert empty.fmr_of(0.5) is None
    assert not empty.has("fpir", 0.2)
    with pytest.raises(InvalidRequest, match="No rate can be told yet"):
        empty.at_fpir(0.05, 2)
