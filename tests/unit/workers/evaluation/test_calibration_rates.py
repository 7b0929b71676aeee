"""Rates by level are what counting by hand says, and what is decided on one group holds for another."""

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from index.templates import template
from workers.evaluation import calibration_rates as rates
from workers.evaluation import calibration_scores as scores
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors


def faces(people: int, seed: int, *, dimension: int = 8, alike: float = 1.0) -> tuple[Vectors, Labels]:
    """One to four faces of each person, in no order."""
    random = np.random.default_rng(seed)
    whose = np.repeat(np.arange(people), random.integers(1, 5, people))
    whose = random.permutation(whose) * 7 + 3  # Any numbers.
    centres = random.standard_normal((people, dimension))
    vectors = alike * centres[(whose - 3) // 7] + random.standard_normal((len(whose), dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), whose


def at_level(similarities: NDArray[np.floating]) -> NDArray[np.floating]:
    """The cosines of the levels of *similarities*."""
    return scores.level_of(similarities) / (scores.LEVELS / 2) - 1


def test_a_level_is_reached_by_the_similarities_at_or_above_its_cosine() -> None:
    similarities = np.random.default_rng(0).uniform(-1, 1, 5_000).astype(np.float32)

    levels = scores.level_of(similarities)

    for level in (0, 1000, 2048, 3000, scores.LEVELS - 1):
        np.testing.assert_array_equal(levels >= level, similarities >= np.float64(scores.cosine(level)))


def test_false_matches_are_those_that_a_search_would_score_so() -> None:
    vectors, people = faces(9, seed=1)
    means = {person: template(vectors[people == person]) for person in np.unique(people).tolist()}
    by_hand = [
        float(vector @ mean)
        for vector, person in zip(vectors, people.tolist(), strict=True)
        for other, mean in means.items()
        if other != person
    ]

    fmr = rates.match_rates(scores.matches(vectors, people, one_photo=False, seed=0))

    for level in (1500, 2048, 2700, 3500):
        assert fmr[level] == pytest.approx(np.mean(at_level(np.array(by_hand)) >= scores.cosine(level)), abs=1e-3)


def test_strangers_are_named_as_often_as_in_all_galleries_that_can_be_drawn() -> None:
    vectors, people = faces(7, seed=2)
    everybody = np.unique(people).tolist()
    means = {person: template(vectors[people == person]) for person in everybody}
    level, size = 2600, 3
    named = []
    for vector, person in zip(vectors, people.tolist(), strict=True):
        others = [other for other in everybody if other != person]
        accepting = {other for other in others if at_level(vector @ means[other]) >= scores.cosine(level)}
        named += [bool(accepting & set(gallery)) for gallery in combinations(others, size)]

    fpir = rates.search_rates(scores.searches(vectors, people, seed=0), [size])[0]

    assert fpir[level] == pytest.approx(np.mean(named), abs=1e-9)


def test_a_person_drawn_twice_counts_as_two_who_are_never_strangers_to_each_other() -> None:
    vectors, people = faces(6, seed=3)
    matches = scores.matches(vectors, people, one_photo=False, seed=0)
    times = np.array([2, 0, 1, 1, 0, 2])
    weights = times[matches.probes] * times[matches.others]

    drawn = rates.match_rates(matches, times)

    assert drawn[2500] == pytest.approx(np.average(matches.levels >= 2500, weights=weights))


def test_everybody_once_is_the_collection_itself() -> None:
    vectors, people = faces(12, seed=4)
    matches, searches = (
        scores.matches(vectors, people, one_photo=False, seed=0),
        scores.searches(vectors, people, seed=0),
    )
    once = np.ones(12, np.int64)

    np.testing.assert_allclose(rates.match_rates(matches, once), rates.match_rates(matches))
    sizes = [2, 5, 11, 22]
    np.testing.assert_allclose(rates.search_rates(searches, sizes, once), rates.search_rates(searches, sizes))


def test_larger_galleries_name_more_strangers_beyond_the_collection_too() -> None:
    vectors, people = faces(40, seed=5)

    fpir = rates.search_rates(scores.searches(vectors, people, seed=0), [5, 10, 39, 78, 156])

    assert (np.diff(fpir, axis=0) >= -1e-12).all()
    assert (np.diff(fpir, axis=1) <= 1e-12).all()
    assert fpir.max() <= 1


def test_a_probe_is_missed_where_its_own_score_is_below_or_another_is_above() -> None:
    own = scores.Own(np.array([0, 0, 1, 2]), np.array([3000, 2000, 3500, 1000], np.uint16), np.array([0, 0, 1, 0]))

    fnmr, fnir = rates.missed(own), rates.missed(own, others=9, size=10)
    in_smaller = rates.missed(own, others=9, size=4)

    assert fnmr[[0, 1500, 2500, 3200, 3600]].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert fnir[[0, 1500, 2500, 3200, 3600]].tolist() == [0.25, 0.5, 0.75, 1, 1]
    assert in_smaller[3200] == pytest.approx(1 - 6 / 9 / 4)  # Three of nine others are enrolled.


def test_what_is_decided_on_one_group_costs_as_much_among_another_in_the_mean() -> None:
    realised, covered = [], []
    for seed in range(40):
        vectors, people = faces(60, seed=seed, dimension=16)
        whole, test = vectors[people <= 7 * 30], vectors[people > 7 * 30]
        matches = scores.matches(whole, people[people <= 7 * 30], one_photo=False, seed=0)
        times = rates.drawn(matches.people, 60, seed)
        others = np.stack([rates.match_rates(matches, each) for each in times])
        found = rates.decided(rates.match_rates(matches), others, 0.02)
        assert found is not None
        seen = rates.match_rates(scores.matches(test, people[people > 7 * 30], one_photo=False, seed=0))[found.level]
        realised.append(seen)
        covered.append(found.low <= seen <= found.high)

    assert np.mean(realised) / 0.02 == pytest.approx(1, abs=0.2)
    assert np.mean(covered) >= 0.85


def test_no_level_is_told_where_different_people_are_one() -> None:
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (20, 1))
    matches = scores.matches(vectors, np.arange(20), one_photo=False, seed=0)
    others = np.stack([rates.match_rates(matches, each) for each in rates.drawn(20, 10, 0)])

    assert rates.decided(rates.match_rates(matches), others, 0.1) is None


def test_of_many_people_and_photos_some_are_drawn_by_lot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_MOST_COMPARED", 10)
    monkeypatch.setattr(scores, "_MOST_STRANGERS", 12)
    monkeypatch.setattr(scores, "_MOST_PHOTOS", 2)
    vectors, people = faces(30, seed=6)

    matches, searches = (
        scores.matches(vectors, people, one_photo=False, seed=0),
        scores.searches(vectors, people, seed=0),
    )

    assert (matches.people, len(np.unique(matches.probes))) == (10, 10)
    assert (searches.people, searches.strangers, len(np.unique(searches.probes))) == (30, 12, 12)
    assert np.bincount(searches.probes).max() <= 2
    assert (searches.nearest != searches.probes[:, None]).all()


def test_of_many_faces_everybody_is_asked_for_with_fewer_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, people = faces(30, seed=6)
    all_photos = len(scores.searches(vectors, people, seed=0).probes)
    monkeypatch.setattr(scores, "_MOST_NEAREST", 64 * (all_photos - 1))
    monkeypatch.setattr(scores, "_MOST_SCORES", 30)

    searches, matches = (
        scores.searches(vectors, people, seed=0),
        scores.matches(vectors, people, one_photo=False, seed=0),
    )

    assert 30 < len(searches.probes) < all_photos
    assert len(np.unique(searches.probes)) == 30
    assert len(matches.levels) == 30 * 29
