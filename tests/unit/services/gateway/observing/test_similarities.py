"""The drift: nothing where searches are as the calibration says, whatever their mix, and something where they are not."""

import random
from bisect import bisect_left

import pytest

from services.calibrated import Calibrated
from services.gateway.observing.similarities import LEAST, Similarities, drift

_DRAW = random.Random(1)
STRANGERS = sorted(_DRAW.gauss(0.35, 0.08) for _ in range(20_000))
ENROLLED = sorted(_DRAW.gauss(0.75, 0.09) for _ in range(20_000))


def _calibrated() -> Calibrated:
    """As a fit over those would be: of each rate the threshold, and what is missed there."""
    fpir = {}
    for rate in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20):
        threshold = STRANGERS[round((1 - rate) * len(STRANGERS)) - 1]
        missed = bisect_left(ENROLLED, threshold) / len(ENROLLED)
        fpir[str(rate)] = [[1000, threshold, rate, rate, missed]]
    counts = dict.fromkeys(("people", "compared", "strangers", "mated_people", "faces"), 1000)
    return Calibrated({**counts, "needs": {}, "fmr": [], "pairs": [], "fpir": fpir})


def _searches(share_enrolled: float, *, moved: float = 0.0, count: int = 2000) -> list[float]:
    draw = random.Random(3)
    known = [draw.choice(ENROLLED) - moved for _ in range(round(count * share_enrolled))]
    return known + [draw.choice(STRANGERS) for _ in range(count - len(known))]


@pytest.mark.parametrize("share_enrolled", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_whatever_the_mix_of_people_and_strangers_there_is_no_drift(share_enrolled: float) -> None:
    found = drift(_searches(share_enrolled), _calibrated(), 1000)

    assert found is not None
    assert found < 0.05


@pytest.mark.parametrize("share_enrolled", [0.5, 0.9, 1.0])
def test_people_who_are_less_like_themselves_are_a_drift(share_enrolled: float) -> None:
    found = drift(_searches(share_enrolled, moved=0.25), _calibrated(), 1000)

    assert found is not None
    assert found > 0.08


def test_of_few_searches_nothing_is_said() -> None:
    assert drift(_searches(0.5, count=LEAST - 1), _calibrated(), 1000) is None


def test_what_was_seen_before_a_calibration_is_not_held_against_it() -> None:
    seen, first, second = Similarities(), _calibrated(), _calibrated()
    seen.note(1, [0.0] * 500, first, 1000)
    assert [collection for collection, _ in seen.drifts()] == [1]

    seen.note(1, _searches(0.5, count=LEAST), second, 1000)

    [(collection, left)] = seen.drifts()
    assert collection == 1
    assert left < 0.15


def test_no_more_collections_are_kept_than_are_searched_lately() -> None:
    seen = Similarities()

    for collection in range(200):
        seen.note(collection, [0.5] * LEAST, _calibrated(), 1000)

    assert {collection for collection, _ in seen.drifts()} == set(range(200 - 64, 200))
