"""Figures of pairs, and what pairs cannot show."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.unit.workers.evaluation.sets import photos_of, vectors_of
from workers.evaluation import bootstrap, pairing, verification
from workers.evaluation.pairing import Pairing, Photos, Scored
from workers.evaluation.verification import Verified


def test_a_rate_is_shown_where_three_false_matches_are_allowed() -> None:
    """1,770 pairs of two people show 1e-2 and not 1e-3: null, not a number."""
    found, *_ = _verified(people=60, photos=1, noise=0.5, faceless=tuple(range(60)))

    assert found.at_rate[1e-2] is not None
    assert found.at_rate[1e-3] is None
    assert found.at_rate[1e-5] is None


def test_a_photo_without_a_face_is_missed_at_every_threshold() -> None:
    """Perfect vectors, and one photo in three without a face: of three pairs a person two are misses."""
    found, said, _ = _verified(people=60, photos=2, noise=0.0, faceless=tuple(range(60)))

    at = found.at_rate[1e-2]
    assert at is not None
    assert at.tmr == pytest.approx(1 / 3)
    assert at.interval == pytest.approx((1 / 3, 1 / 3))
    assert found.accuracy is not None
    assert found.accuracy.mean < 0.9
    assert found.eer is not None
    assert found.eer > 0.3
    assert np.isfinite(said.non_mated).all()


def test_the_area_and_the_curve_are_those_of_scikit_learn() -> None:
    """The curve is thinned, not bent."""
    found, said, _ = _verified(people=80, photos=3, noise=1.3)

    labels = [1] * len(said.mated) + [0] * len(said.non_mated)
    assert found.auc == pytest.approx(roc_auc_score(labels, np.concatenate([said.mated, said.non_mated])))
    assert found.curve is not None
    assert len(found.curve.fmr) < 600
    assert float(np.trapezoid(found.curve.tmr, found.curve.fmr)) == pytest.approx(found.auc, abs=2e-3)


def test_drawn_folds_keep_people_apart() -> None:
    """Nobody decides by a threshold that saw them."""
    photos = photos_of(people=40, photos=3)
    pairs = pairing.every_pair(photos)

    folds = verification.drawn_folds(pairs, photos)

    assert folds is not None
    fold_of: dict[int, int] = {}
    rows = [*zip(pairs.mated[folds.mated], folds.fold_of_mated, strict=True)]
    rows += [*zip(pairs.non_mated[folds.non_mated], folds.fold_of_non_mated, strict=True)]
    for pair, fold in rows:
        for person in photos.people[pair].tolist():
            assert fold_of.setdefault(person, int(fold)) == fold
    assert set(fold_of.values()) == set(range(10))


def test_few_people_get_fewer_folds_and_too_few_none() -> None:
    """Six people make three folds; one with two photos makes none."""
    some, one = photos_of(people=6, photos=2), Photos(np.array([0, 0, 1, 2, 3]), 5, 4)
    folds = verification.drawn_folds(pairing.every_pair(some), some)

    assert folds is not None
    assert len(np.unique(folds.fold_of_mated)) == 3
    assert verification.drawn_folds(pairing.every_pair(one), one) is None


def test_listed_folds_decide_and_a_non_mated_pair_without_a_face_is_rejected_rightly() -> None:
    """Two folds, separable pairs: all are right but the mated pair without a face."""
    same = np.array([True, False, True, False, True, False])
    faceless = np.array([False, False, False, False, True, True])
    folds = verification.listed_folds(same, faceless, np.array([0, 0, 1, 1, 0, 1]))
    said = Scored(np.array([0.9, 0.8, pairing.UNDETECTED], np.float32), np.array([0.1, 0.2], np.float32))

    found = verification.accuracy(said, folds)

    assert found is not None
    assert (found.folds, found.pairs) == (2, 6)
    assert found.mean == pytest.approx((2 / 3 + 1) / 2)
    assert found.std == pytest.approx(np.std([2 / 3, 1], ddof=1))


def _verified(
    people: int, photos: int, noise: float, faceless: tuple[int, ...] = ()
) -> tuple[Verified, Scored, Pairing]:
    whose = photos_of(people, photos, faceless)
    pairs = pairing.every_pair(whose)
    said = pairing.scored(vectors_of(people, photos, noise), whose, pairs)
    folds = verification.drawn_folds(pairs, whose)
    return verification.verified(said, pairs, whose, folds, bootstrap.drawn(people, draws=100)), said, pairs
