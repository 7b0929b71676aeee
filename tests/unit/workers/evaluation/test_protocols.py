"""How sets of faces become figures."""

import numpy as np
import pytest

from workers.evaluation import protocols
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors


def test_perfect_vectors_score_perfectly() -> None:
    """Each person has one direction of their own."""
    vectors, people = _faces(people=30, photos=3, noise=0.0)

    verified = protocols.verification(vectors, people)

    assert (verified.tmr[1e-3], verified.eer, verified.auc) == (1.0, 0.0, 1.0)
    assert protocols.one_shot(vectors, people, ways=20, trials=200) == 1.0
    assert all(row.fnir == 0 for row in protocols.open_set(vectors, people, 15, enrolled=2, draws=4))


def test_blind_vectors_score_as_chance_has_it() -> None:
    """One of ten, within five standard errors."""
    vectors, people = _faces(people=30, photos=4, noise=1e6)

    assert protocols.one_shot(vectors, people, ways=10, trials=4000) == pytest.approx(0.1, abs=0.024)
    assert protocols.verification(vectors, people).auc == pytest.approx(0.5, abs=0.12)


def test_strangers_are_named_at_the_rate_asked_for_in_larger_galleries_at_a_higher_threshold() -> None:
    """The threshold of a search follows the gallery's size."""
    vectors, people = _faces(people=120, photos=4, noise=1.0)

    small, large = (protocols.open_set(vectors, people, size, enrolled=2)[1] for size in (5, 60))

    assert small.fpir == large.fpir == 0.05
    assert small.threshold < large.threshold


def test_folds_of_pairs_are_decided_by_the_other_folds() -> None:
    """Separable pairs are all right; labels drawn by lot are right half of the time, not more."""
    random = np.random.default_rng(3)
    same = np.arange(1000) % 2 == 0
    apart = np.where(same, 0.8, 0.1).astype(np.float32) + random.normal(0, 0.05, 1000).astype(np.float32)

    assert protocols.fold_accuracy(apart, same) > 0.995
    assert protocols.fold_accuracy(random.normal(size=1000).astype(np.float32), same) == pytest.approx(0.5, abs=0.08)


def test_a_set_compared_with_itself_does_not_differ() -> None:
    """And one with noise added is seen to be worse, by an interval that leaves zero out."""
    vectors, people = _faces(people=80, photos=5, noise=0.9)
    random = np.random.default_rng(5)
    worse = vectors + random.normal(0, 0.08, vectors.shape).astype(np.float32)
    worse /= np.linalg.norm(worse, axis=1, keepdims=True)

    same = protocols.tmr_difference(vectors, vectors, people)
    lower = protocols.tmr_difference(vectors, worse, people)

    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert lower.low <= lower.value < 0 > lower.high


def test_too_few_people_are_refused() -> None:
    """Rather than drawn twice."""
    vectors, people = _faces(people=5, photos=2, noise=0.0)

    with pytest.raises(ValueError, match="5 people"):
        protocols.one_shot(vectors, people, ways=6)


def _faces(people: int, photos: int, noise: float) -> tuple[Vectors, Labels]:
    """Random directions, each person's photos around one of their own."""
    random = np.random.default_rng(11)
    centres = random.normal(size=(people, 128))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres.repeat(photos, 0) + noise * random.normal(size=(people * photos, 128)) / np.sqrt(128)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.arange(people).repeat(photos)
