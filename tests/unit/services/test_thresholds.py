"""The threshold of a search follows the size of its gallery."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.calibrated import Calibrated
from services.errors import InvalidRequest
from services.thresholds import for_pairs, for_search, of_comparison, of_search
from tests.unit.services.test_calibrated import CURVES, READ

TABLE = {"fpir": {"0.05": [[10, 0.43, 0.1], [100, 0.52, 0.1], [420, 0.57, 0.1]]}, "fmr": {"0.001": 0.525}}
FEW = Calibrated(
    {**CURVES, "people": 12, "compared": 12, "strangers": 12, "fmr": CURVES["fmr"][:1], "pairs": [], "fpir": {}}
)


def test_between_the_sizes_of_the_table_it_goes_with_their_logarithm() -> None:
    assert for_search(TABLE, 10) == 0.43
    assert for_search(TABLE, 100) == pytest.approx(0.52)
    assert 0.43 < for_search(TABLE, 32) < 0.52
    assert for_search(TABLE, 32) == pytest.approx(0.475, abs=0.001)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_larger_gallery_never_has_a_lower_threshold(one: int, other: int) -> None:
    small, large = sorted((one, other))

    assert for_search(TABLE, small) <= for_search(TABLE, large) <= 1.0


def test_what_is_given_counts() -> None:
    assert for_search(TABLE, 5, threshold=0.7) == 0.7
    assert for_search(TABLE, 5, fmr=0.001) == 0.525


@pytest.mark.parametrize("given_rate", [{"fmr": 0.5}, {"fpir": 0.2}, {"threshold": 0.5, "fpir": 0.05}])
def test_what_the_table_does_not_have_is_refused(given_rate: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest):
        for_search(TABLE, 5, **given_rate)


def test_the_more_are_compared_the_more_alike_they_must_be() -> None:
    table = {"fmr": {"0.01": 0.4, "0.001": 0.5, "0.0001": 0.6}}

    def level(count: int) -> float:
        return for_pairs(table, count, strangers=1.024, rate=0.01)

    assert level(0) == level(64) == pytest.approx(0.4)
    assert level(1000) == level(1024) == pytest.approx(0.5)
    assert level(1025) == level(2048) == pytest.approx(0.5 + 0.1 * math.log10(2))
    assert level(1024 * 1024) == pytest.approx(0.7 + 0.1 * math.log10(1024 / 100))
    assert level(2**60) == 1.0


def test_pairs_need_a_table_of_rates() -> None:
    with pytest.raises(InvalidRequest, match="brings no thresholds"):
        for_pairs({}, 10, strangers=1, rate=0.001)


def near(threshold: float) -> Any:
    """*threshold*, as arithmetic has it."""
    return pytest.approx(threshold)


def test_a_search_decides_by_the_calibration_for_the_size_of_the_gallery() -> None:
    assert of_search(READ, TABLE, 200) == (READ.at_fpir(0.05, 200).threshold, "calibration")
    assert of_search(READ, TABLE, 400).threshold > of_search(READ, TABLE, 200).threshold
    assert of_search(READ, TABLE, 200, fmr=0.01) == (near(0.4), "calibration")
    assert of_search(None, TABLE, 100) == (near(0.52), "model")


def test_a_calibration_of_too_few_people_leaves_what_was_not_asked_for_to_the_model() -> None:
    assert of_search(FEW, TABLE, 100) == (near(0.52), "model")
    assert of_comparison(FEW, TABLE, "pairs") == (0.525, "model")
    with pytest.raises(InvalidRequest, match="not enough people"):
        of_search(FEW, TABLE, 100, fpir=0.05)
    with pytest.raises(InvalidRequest, match="not enough people"):
        of_comparison(FEW, TABLE, "pairs", fmr=0.001)


def test_what_is_given_counts_with_a_calibration_too() -> None:
    assert of_search(READ, TABLE, 200, threshold=0.7) == (0.7, "request")
    assert of_comparison(READ, TABLE, "fmr", threshold=0.7) == (0.7, "request")
    for more in ({"threshold": 0.5, "fmr": 0.01}, {"fmr": 0.01, "fpir": 0.05}):
        with pytest.raises(InvalidRequest, match="Give one"):
            of_search(READ, TABLE, 200, **more)
    with pytest.raises(InvalidRequest, match="Give one"):
        of_comparison(READ, TABLE, "fmr", threshold=0.5, fmr=0.01)


def test_a_photo_is_compared_with_a_person_otherwise_than_with_a_photo() -> None:
    assert of_comparison(READ, TABLE, "fmr") == (near(0.5), "calibration")
    assert of_comparison(READ, TABLE, "pairs") == (0.525, "model")  # 0.001 is not told there.
    assert of_comparison(READ, TABLE, "pairs", fmr=0.01) == (near(0.41), "calibration")
    assert of_comparison(None, TABLE, "pairs") == (0.525, "model")
