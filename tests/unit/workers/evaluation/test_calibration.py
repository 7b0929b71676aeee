"""A calibration tells what its people can tell, and no more."""

import json

import numpy as np
import pytest

from services.calibrated import Calibrated, needed_for
from services.errors import Cancelled, InvalidRequest
from workers.evaluation import calibration
from workers.evaluation.calibration import FPIR, NEEDS
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

REPLICATES = 30


def faces(people: int, photos: int, seed: int = 0, dimension: int = 24) -> tuple[Vectors, Labels]:
    """As many faces of each person, those of one person alike."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), photos)
    vectors = 2 * random.standard_normal((people, dimension))[whose] + random.standard_normal((len(whose), dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), whose


def fitted(people: int, photos: int) -> calibration.Calibration:
    return calibration.fit(*faces(people, photos), replicates=REPLICATES)


def test_tables_go_one_way_and_hold_their_intervals() -> None:
    found = fitted(120, 3)

    for rows in (found.fmr, found.pairs):
        similarity, rate, low, high, missed = np.array(rows, np.float64).T
        assert (np.diff(similarity) >= 0).all()
        assert (np.diff(rate) < 0).all()
        assert (np.diff(missed) >= 0).all()
        assert ((low <= rate) & (rate <= high)).all()
    at_size = {rate: {row[0]: row[1] for row in rows} for rate, rows in found.fpir.items()}
    for searches in found.fpir.values():
        people, threshold, _, _, missed = np.array(searches, np.float64).T
        assert (np.diff(people) > 0).all()
        assert (np.diff(threshold) >= 0).all()
        assert ((missed >= 0) & (missed <= 1)).all()
    assert all(at_size["0.05"][size] >= at_size["0.2"][size] for size in at_size["0.05"])


def test_rates_for_which_there_are_too_few_people_are_left_out() -> None:
    few, more = fitted(30, 2), fitted(120, 2)

    assert {len(fitted(2, 2).fmr), len(fitted(2, 2).fpir)} == {0}
    assert [rate for rate in FPIR if f"{rate:g}" in few.fpir] == [0.2]
    assert [rate for rate in FPIR if f"{rate:g}" in more.fpir] == [0.05, 0.1, 0.2]
    for found in (few, more):
        assert (
            needed_for("fmr", found.fmr[-1][1], NEEDS) <= found.people < needed_for("fmr", found.fmr[-1][1] / 2, NEEDS)
        )


def test_a_larger_gallery_than_there_is_needs_more_people_for_the_same_rate() -> None:
    found = fitted(45, 2)

    assert [row[0] for row in found.fpir["0.1"]] == [5, 11, 22, 44]
    assert [row[0] for row in found.fpir["0.2"]] == [5, 11, 22, 44, 88]


def test_without_people_of_two_photos_the_cost_is_not_told() -> None:
    found = fitted(100, 1)

    assert {row[4] for row in (*found.fmr, *found.pairs, *found.fpir["0.1"])} == {None}
    assert "the cost cannot be told: 0 people have two photos, 10 are needed" in Calibrated(found.curves()).lines()[3]


def test_a_person_of_many_photos_draws_strangers_nearer_than_one_photo_does() -> None:
    read = Calibrated(fitted(100, 5).curves())

    assert read.at_fmr(0.01).threshold != read.at_fmr(0.01, "pairs").threshold
    assert (read.at_fmr(0.01).missed or 0) < (read.at_fmr(0.01, "pairs").missed or 0)


def test_the_same_faces_give_the_same_calibration_whatever_their_order_and_numbers() -> None:
    vectors, people = faces(40, 3)
    order = np.random.default_rng(9).permutation(len(people))

    one = calibration.fit(vectors, people, replicates=REPLICATES)
    other = calibration.fit(vectors[order], people[order] * 3 + 1_000, replicates=REPLICATES)

    assert one.fmr == other.fmr
    assert one.fpir == other.fpir


def test_curves_are_json() -> None:
    curves = fitted(40, 2).curves()

    assert Calibrated(json.loads(json.dumps(curves, allow_nan=False))).at_fpir(0.2, 40) == Calibrated(curves).at_fpir(
        0.2, 40
    )


@pytest.mark.parametrize("people", [0, 1])
def test_fewer_than_two_people_are_refused(people: int) -> None:
    vectors, whose = faces(max(people, 1), 3)

    with pytest.raises(InvalidRequest, match=f"20 or more; enrolled: {people}"):
        calibration.fit(vectors[: people * 3], whose[: people * 3])


def test_the_same_photo_of_everybody_tells_nothing() -> None:
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (60, 1))

    found = calibration.fit(vectors, np.repeat(np.arange(30), 2), replicates=REPLICATES)

    assert (found.fmr, found.pairs, found.fpir) == ([], [], {})
    assert "as alike as one person's photos" in Calibrated(found.curves()).lines()[4]


def test_people_who_are_all_equally_unlike_are_told_apart() -> None:
    vectors = np.repeat(np.eye(30, dtype=np.float32), 2, axis=0)

    read = Calibrated(calibration.fit(vectors, np.repeat(np.arange(30), 2), replicates=REPLICATES).curves())

    assert 0 < read.at_fpir(0.2, 30).threshold < 0.01
    assert read.at_fpir(0.2, 30).missed == 0


@pytest.mark.parametrize("broken", [np.nan, 0.0])
def test_vectors_without_a_direction_are_refused(broken: float) -> None:
    vectors, people = faces(5, 2)
    vectors[3] = broken

    with pytest.raises(InvalidRequest, match="direction"):
        calibration.fit(vectors, people)


def test_whoever_watches_may_end_it() -> None:
    def told(done: int, _: int) -> None:
        if done == 1:
            raise Cancelled("Enough.")

    with pytest.raises(Cancelled):
        calibration.fit(*faces(20, 2), replicates=REPLICATES, told=told)
