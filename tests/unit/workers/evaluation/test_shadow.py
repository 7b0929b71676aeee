"""The same searches under two models: computed by hand, and what must hold of any."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.unit.workers.evaluation.sets import vectors_of
from tests.unit.workers.evaluation.shadows import angles, numbered, shadow
from workers.evaluation import shadow as searches
from workers.evaluation.shadow import asked, overlap, probes

ANSWERS = st.integers(1, 6).flatmap(
    lambda k: st.tuples(st.lists(st.permutations(range(8)), min_size=1, max_size=5), st.just(k))
)


def test_a_face_is_searched_for_without_itself() -> None:
    """Ana is at 0 and 20 degrees, Ben at 90 and 70, Cyn at 60 only; Ana's first face is nearest to Ana's other one."""
    people = numbered(7, 7, 9, 9, 30)
    seen = angles(0, 20, 90, 70, 60)

    found = asked(shadow(seen, seen, people)).before

    cosine = {degrees: float(np.cos(np.radians(degrees))) for degrees in (10, 20, 30, 50, 60)}
    np.testing.assert_allclose(found.own[:4], [cosine[20]] * 4, atol=1e-5)
    assert np.isnan(found.own[4])
    assert found.rank.tolist() == [1, 1, 1, 2, 0]  # Ben's second face is nearer to Cyn than to his own other one.
    assert found.other.tolist() == [2, 2, 2, 2, 1]
    np.testing.assert_allclose(found.other_score[3], cosine[10], atol=1e-5)
    assert found.first[4].tolist() == [1, 0, -1]  # A search by the only face of Cyn finds everybody but her.
    np.testing.assert_allclose(found.margin[3], cosine[20] - cosine[10], atol=1e-5)


def test_both_models_are_asked_the_same() -> None:
    """What differs is the model's doing alone."""
    seen, people = vectors_of(40, 3, 0.7), np.arange(40).repeat(3)

    said = asked(shadow(seen, seen, people))

    np.testing.assert_array_equal(said.before.first, said.after.first)
    np.testing.assert_array_equal(said.before.rank, said.after.rank)
    assert overlap(said.before.first, said.after.first, 10).tolist() == [1.0] * 120


@given(arrays.arrays(np.int8, st.tuples(st.integers(2, 12), st.just(2))), st.integers(0, 5))
def test_turning_every_vector_changes_no_answer(drawn: np.ndarray, turn: int) -> None:
    """Scores are cosines: a model that is another one turned is the same model."""
    people = np.arange(len(drawn)) // 2
    seen = angles(*(float(each) + 0.37 * place for place, each in enumerate(drawn[:, 0])))
    turned = angles(*(float(each) + 0.37 * place + 60 * turn for place, each in enumerate(drawn[:, 0])))

    said = asked(shadow(seen, turned, people))

    np.testing.assert_allclose(said.before.own, said.after.own, atol=1e-5)
    np.testing.assert_allclose(said.before.other_score, said.after.other_score, atol=1e-5)


def test_overlap_counts_people_in_common_wherever_they_stand() -> None:
    """Of the first three, two are in both."""
    one, other = np.array([[1, 2, 3, 4]]), np.array([[3, 9, 1, 2]])

    assert overlap(one, other, 3).tolist() == pytest.approx([2 / 3])
    assert overlap(one, other, 1).tolist() == [0.0]
    assert overlap(one, other, 4).tolist() == [0.75]


@given(ANSWERS, st.randoms())
def test_overlap_is_a_share_the_same_from_either_side(drawn: tuple[list[list[int]], int], random: Random) -> None:
    """Between 0 and 1, 1 with itself, and k times it is a whole number."""
    rows, k = drawn
    one = np.array(rows)
    other = np.array([random.sample(row, len(row)) for row in rows])

    there, back = overlap(one, other, k), overlap(other, one, k)

    np.testing.assert_array_equal(there, back)
    assert ((there >= 0) & (there <= 1)).all()
    np.testing.assert_allclose(there * k, np.round(there * k))
    assert (overlap(one, one, k) == 1).all()
    assert (overlap(one, other, 8) == 1).all()  # All eight people are in both.


def test_a_place_that_nobody_has_is_in_nobodys_answer() -> None:
    """Where there are fewer people than places, the rest is empty."""
    assert overlap(np.array([[4, -1]]), np.array([[4, -1]]), 2).tolist() == [0.5]


def test_many_people_are_searched_for_in_part_and_by_lot() -> None:
    """At most five faces of each of 2,000 people with several, and 1,000 with one; the same for the same seed."""
    numbers = np.concatenate([np.arange(3_000).repeat(7), np.arange(3_000, 6_000)])

    chosen, again, other = probes(numbers, 0), probes(numbers, 0), probes(numbers, 1)

    assert (int(chosen.mated.sum()), int((~chosen.mated).sum())) == (10_000, 1_000)
    assert np.bincount(chosen.persons).max() == 5
    np.testing.assert_array_equal(numbers[chosen.rows], chosen.persons)
    np.testing.assert_array_equal(chosen.rows, again.rows)
    assert chosen.rows.tolist() != other.rows.tolist()


def test_queries_find_the_same_people_as_searches_would() -> None:
    """A query at 80 degrees: Ben at 90, then Ana's mean at 10."""
    people = numbered(1, 1, 2)
    seen, queries = angles(0, 20, 90), angles(80)

    said = asked(shadow(seen, seen, people, queries=(queries, queries))).queries[0]

    assert said.first.tolist() == [[1, 0]]
    np.testing.assert_allclose(said.scores, [[np.cos(np.radians(10)), np.cos(np.radians(70))]], atol=1e-5)


def test_scores_do_not_depend_on_how_many_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are for memory only."""
    seen, people = vectors_of(30, 3, 0.8), np.arange(30).repeat(3)
    whole = asked(shadow(seen, seen, people)).before
    monkeypatch.setattr(searches, "_SCORES_AT_ONCE", 70)

    parts = asked(shadow(seen, seen, people)).before

    np.testing.assert_allclose(whole.own, parts.own, atol=1e-6)
    np.testing.assert_array_equal(whole.rank, parts.rank)
    np.testing.assert_array_equal(whole.first[:, 0], parts.first[:, 0])
