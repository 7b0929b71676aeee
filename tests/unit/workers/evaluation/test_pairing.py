"""Which pairs are compared."""

import numpy as np
import pytest

from tests.unit.workers.evaluation.sets import photos_of, vectors_of
from workers.evaluation import pairing
from workers.evaluation.pairing import UNDETECTED


def test_every_pair_is_there_once_and_those_without_a_face_only_where_they_are_missed() -> None:
    """Three people with two faces each, one with a photo without a face: 3 + 2 mated pairs, 12 non-mated."""
    photos = photos_of(people=3, photos=2, faceless=(1,))

    pairs = pairing.every_pair(photos)
    said = pairing.scored(vectors_of(3, 2, 0.0), photos, pairs)

    assert sorted(map(tuple, pairs.mated.tolist())) == [(0, 1), (2, 3), (2, 6), (3, 6), (4, 5)]
    assert len(pairs.non_mated) == 12
    assert pairs.non_mated.max() < 6
    assert (said.mated == UNDETECTED).sum() == 2
    assert (pairs.mated_share, pairs.non_mated_share) == (1, 1)


def test_a_large_set_is_sampled_evenly_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Different pairs, of different people, the same ones each time."""
    monkeypatch.setattr(pairing, "MOST_NON_MATED", 2_000)
    monkeypatch.setattr(pairing, "MOST_MATED", 100)
    photos = photos_of(people=40, photos=5)

    pairs, again = pairing.every_pair(photos), pairing.every_pair(photos)

    whose = photos.people[pairs.non_mated]
    assert len(np.unique(pairs.non_mated, axis=0)) == len(pairs.non_mated) > 1_900
    assert (pairs.non_mated[:, 0] < pairs.non_mated[:, 1]).all()
    assert pairs.non_mated.max() < 200
    assert (whose[:, 0] != whose[:, 1]).all()
    assert pairs.non_mated_share == pytest.approx(len(pairs.non_mated) / (200 * 195 / 2))
    assert len(pairs.mated) < 400 / 2
    assert len(np.unique(photos.people[pairs.mated[:, 0]])) == 40
    np.testing.assert_array_equal(pairs.non_mated, again.non_mated)


def test_pairs_compared_one_by_one_are_as_similar_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ways for small and large sets."""
    photos, vectors = photos_of(people=20, photos=3), vectors_of(20, 3, 0.5)
    pairs = pairing.every_pair(photos)
    at_once = pairing.scored(vectors, photos, pairs)
    monkeypatch.setattr(pairing, "_SQUARE", 1)
    monkeypatch.setattr(pairing, "_AT_ONCE", 100)

    one_by_one = pairing.scored(vectors, photos, pairs)

    np.testing.assert_allclose(one_by_one.non_mated, at_once.non_mated, atol=1e-6)
    np.testing.assert_allclose(one_by_one.mated, at_once.mated, atol=1e-6)
