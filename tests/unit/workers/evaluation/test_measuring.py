"""Everything that is said of a model, as JSON says it."""

import json

import numpy as np
import pytest

from services.errors import InvalidRequest
from tests.unit.workers.evaluation.sets import gallery_of, vectors_of
from workers.evaluation import figures, measuring
from workers.evaluation.pairing import cosine
from workers.galleries import Gallery, ListedPairs


def test_figures_have_the_shape_that_is_promised() -> None:
    """Keys as the interface has them, and JSON can say all of it."""
    faces = measuring.of_gallery(gallery_of(60, 3), draws=50, seed=0)

    said = figures.of(measuring.measured(faces, vectors_of(60, 3, 0.6), trials=500), faces)

    assert set(said["verification"]["tmr_at_fmr"]) == {"1e-2", "1e-3", "1e-4", "1e-5"}
    assert set(said["identification"]["fnir_at_fpir"]) == {"1e-1", "1e-2", "1e-3"}
    assert set(said["n_way"]) == {"4", "10", "20", "50"}
    assert {"mean", "std"} <= set(said["verification"]["accuracy"])
    assert said["failure_to_detect"] == 0
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_what_is_null_is_explained() -> None:
    """Four people and five photos: nothing but nulls, and a reason for each."""
    gallery = gallery_of(4, 2)
    few = Gallery(gallery.chips, np.array([0, 0, 1, 2, 3]), gallery.names, ["a", "b", "c", "d", "e"])
    faces = measuring.of_gallery(few, draws=50, seed=0)

    said = figures.of(measuring.measured(faces, vectors_of(5, 1, 0.0), trials=10), faces)

    assert said["verification"]["auc"] is None
    assert said["identification"]["rank1"] is None
    assert "300 are needed" in said["not_said"]["verification.tmr_at_fmr.1e-2"]
    for name in ("verification.accuracy", "verification.auc", "identification", "n_way.4", "n_way.50"):
        assert said["not_said"][name]


def test_photos_without_a_face_count_and_the_model_alone_is_told_beside() -> None:
    """Perfect vectors, and of every person one photo of four without a face."""
    faces = measuring.of_gallery(gallery_of(60, 3, faceless=tuple(range(60))), draws=50, seed=0)

    said = figures.of(measuring.measured(faces, vectors_of(60, 3, 0.0), trials=2_000), faces)

    assert said["failure_to_detect"] == 0.25
    assert said["verification"]["tmr_at_fmr"]["1e-2"] == 0.5
    assert said["n_way"]["4"] == pytest.approx(2 / 3, abs=0.05)
    assert said["of_found_faces"] == {
        "tmr_at_fmr": {"1e-2": 1.0, "1e-3": 1.0, "1e-4": None, "1e-5": None},
        "n_way": {"4": 1.0, "10": 1.0, "20": 1.0, "50": 1.0},
    }


def test_another_way_to_compare_is_measured_but_not_searched_with() -> None:
    """A head that says the same as the cosine has the same figures, without identification."""
    faces, vectors = measuring.of_gallery(gallery_of(60, 3), draws=50, seed=0), vectors_of(60, 3, 1.0)

    by_cosine = measuring.measured(faces, vectors, trials=500)
    by_head = measuring.measured(faces, vectors, compare=lambda a, b: 4 * cosine(a, b) - 1, trials=500)

    said = figures.of(by_head, faces, searches=False)
    assert by_head.identified is None
    assert "judges pairs" in said["not_said"]["identification"]
    assert by_head.verified.auc == pytest.approx(by_cosine.verified.auc, abs=1e-5)
    assert by_head.shots == by_cosine.shots


def test_a_difference_is_told_with_its_interval() -> None:
    """A worse model is seen to be, and one compared with itself does not differ."""
    faces = measuring.of_gallery(gallery_of(80, 3), draws=200, seed=0)
    good, bad = (measuring.measured(faces, vectors_of(80, 3, noise), trials=10) for noise in (0.9, 1.5))

    worse, same = figures.differences(good, bad), figures.differences(good, good)

    assert worse["tmr_at_fmr"]["1e-2"] < 0
    assert worse["tmr_at_fmr_interval"]["1e-2"][1] < 0
    assert same["tmr_at_fmr_interval"]["1e-3"] == [0, 0]


def test_the_worst_pairs_are_of_different_people_each() -> None:
    """So that one pair of twins does not fill the page."""
    faces = measuring.of_gallery(gallery_of(30, 3), draws=10, seed=0)

    found = measuring.measured(faces, vectors_of(30, 3, 1.5), trials=10)

    people = faces.photos.people
    assert len({tuple(sorted(people[[pair.first, pair.second]])) for pair in found.false_matches}) == measuring.WORST
    assert len({people[pair.first] for pair in found.misses}) == measuring.WORST
    assert all(people[pair.first] == people[pair.second] for pair in found.misses)
    said = [pair.similarity for pair in found.misses]
    assert said == sorted(said)


@pytest.mark.parametrize(
    ("people", "photos", "says"), [(1, 4, "Only one person"), (5, 1, "one photo each"), (0, 0, "No face was found")]
)
def test_a_set_that_nothing_can_be_told_from_is_refused(people: int, photos: int, says: str) -> None:
    """With what it lacks."""
    with pytest.raises(InvalidRequest, match=says):
        measuring.of_gallery(gallery_of(people, photos), draws=10, seed=0)


@pytest.mark.parametrize(("same", "says"), [(True, "All pairs"), (False, "No pair of the list")])
def test_a_list_of_one_kind_is_refused(same: bool, says: str) -> None:
    """Either error needs its own pairs."""
    gallery = gallery_of(2, 1)
    pair = (gallery.photos[0], gallery.photos[1])
    listed = ListedPairs(np.array([0]), np.array([1]), np.array([same]), None, [pair], identified=True)

    with pytest.raises(InvalidRequest, match=says):
        measuring.of_pairs(gallery, listed, draws=10, seed=0)


def test_rates_are_keyed_as_people_write_them() -> None:
    """Without a zero in the exponent."""
    assert [figures.rate(value) for value in (1e-1, 1e-3, 1e-5, 5e-2)] == ["1e-1", "1e-3", "1e-5", "5e-2"]
