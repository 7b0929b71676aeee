"""Pairs to learn from: each photo once a batch, both kinds in each, nobody on both sides of a fold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import InvalidTraining
from workers.galleries import ListedPairs
from workers.training import siamese_pairs
from workers.training.siamese_pairs import OfAList, PairList, PairsOfPeople

PEOPLE = np.repeat(np.arange(12), [5, 4, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1])


def _list(first: list[int], second: list[int], same: list[int]) -> ListedPairs:
    rows = np.array(first), np.array(second)
    return ListedPairs(*rows, np.array(same, bool), None, [("", "")] * len(first), identified=True)


@given(st.integers(0, 2**31), st.integers(2, 12), st.integers(2, 6))
def test_a_batch_has_each_photo_once_and_pairs_of_both_kinds(seed: int, people: int, photos: int) -> None:
    batch = PairsOfPeople(PEOPLE, people_a_batch=people, photos_a_person=photos).batch(np.random.default_rng(seed))

    assert len(np.unique(batch.rows)) == len(batch.rows)
    assert 0 < batch.same.sum() < len(batch.same)
    whose = PEOPLE[batch.rows]
    assert ((whose[batch.first] == whose[batch.second]) == batch.same).all()
    assert (batch.first != batch.second).all()


def test_the_same_step_draws_the_same_batch() -> None:
    pairs = PairsOfPeople(PEOPLE, people_a_batch=4, photos_a_person=3)

    one, other = (pairs.batch(np.random.default_rng([3, 7])) for _ in range(2))

    assert one.rows.tolist() == other.rows.tolist()


@pytest.mark.parametrize("people", [[0, 0, 0], [0, 1, 2], [], [4]])
def test_one_person_or_one_photo_a_person_is_refused(people: list[int]) -> None:
    with pytest.raises(InvalidTraining, match="pairs of one person and of two"):
        PairsOfPeople(np.array(people, np.int64), people_a_batch=4, photos_a_person=2)


def test_of_a_list_as_many_mated_pairs_are_drawn_as_others() -> None:
    listed = PairList(np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0]), np.array([True, False, False, False]))

    batch = OfAList(listed, pairs_a_batch=8).batch(np.random.default_rng(0))

    assert batch.same.tolist() == [True] * 4 + [False] * 4
    drawn = {(int(batch.rows[a]), int(batch.rows[b])) for a, b in zip(batch.first, batch.second, strict=True)}
    assert drawn <= {(0, 1), (1, 2), (2, 3), (3, 0)}


def test_a_list_of_one_kind_is_refused() -> None:
    with pytest.raises(InvalidTraining, match="both kinds"):
        OfAList(PairList(np.array([0]), np.array([1]), np.array([True])), pairs_a_batch=4)


def test_of_a_list_only_pairs_whose_photos_are_both_kept_remain() -> None:
    listed = _list([0, 1, 5, -1, 4, 5], [1, 4, 9, 4, 4, 4], [1, 0, 0, 1, 1, 1])

    kept = siamese_pairs.among(listed, np.array([1, 4, 5]))

    assert list(zip(kept.first.tolist(), kept.second.tolist(), kept.same.tolist(), strict=True)) == [
        (0, 1, False),
        (2, 1, True),
    ]


@given(st.integers(0, 2**31))
def test_balanced_pairs_are_half_mated_and_each_of_them_is_there_once(seed: int) -> None:
    found = siamese_pairs.balanced(PEOPLE, np.random.default_rng(seed), most=1000)

    assert found.same.sum() * 2 == len(found.same)
    assert found.same.sum() == 10 + 6 + 3 + 1 + 1
    assert ((PEOPLE[found.first] == PEOPLE[found.second]) == found.same).all()
    assert len({*zip(found.first.tolist(), found.second.tolist(), strict=True)}) == len(found.same)


@given(st.integers(0, 2**31), st.integers(2, 5))
def test_a_person_is_in_one_fold_and_people_with_two_photos_are_spread(seed: int, folds: int) -> None:
    fold = siamese_pairs.folds_of(PEOPLE, folds, np.random.default_rng(seed))

    assert all(len(np.unique(fold[person == PEOPLE])) == 1 for person in np.unique(PEOPLE))
    several = [int(fold[person == PEOPLE][0]) for person in range(5)]
    assert max(np.bincount(several, minlength=folds)) - min(np.bincount(several, minlength=folds)) <= 1
