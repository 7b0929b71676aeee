"""Rates from similarities."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from index import ranking
from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from tests.unit.index.arrays import D, unit_vectors
from workers.evaluation import metrics
from workers.evaluation.metrics import Pairs

similarities = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60).map(lambda s: np.array(s, np.float32))


@given(non_mated=similarities, rate=st.floats(0, 0.99))
def test_the_threshold_keeps_the_rate_and_no_lower_one_does(non_mated: metrics.Similarities, rate: float) -> None:
    """Ties included: a pair at the threshold is accepted."""
    threshold = metrics.threshold_at(non_mated, rate)

    assert metrics.share_accepted(non_mated, threshold) <= rate + 1e-9
    just_below = float(np.nextafter(np.float32(threshold), np.float32(-2)))
    assert metrics.share_accepted(non_mated, just_below) > rate - 1e-9


@given(mated=similarities, non_mated=similarities)
def test_the_area_is_that_of_scikit_learn(mated: metrics.Similarities, non_mated: metrics.Similarities) -> None:
    """With ties."""
    labels = [1] * len(mated) + [0] * len(non_mated)
    expected = roc_auc_score(labels, np.concatenate([mated, non_mated]))

    assert metrics.area_under_roc(Pairs(mated, non_mated)) == pytest.approx(expected)


def test_the_equal_error_rate_of_two_overlapping_lines() -> None:
    """Uniform on [0, 1] and on [0.2, 1.2], cut at 0.6: 40% of each is on the wrong side."""
    line = np.linspace(0, 1, 10_001, dtype=np.float32)

    assert metrics.equal_error_rate(Pairs(line + np.float32(0.2), line)) == pytest.approx(0.4, abs=1e-3)


def test_all_pairs_are_counted_once() -> None:
    """Three faces of one person and two of another: 3 + 1 mated, 6 non-mated."""
    vectors = np.eye(5, dtype=np.float32)

    pairs = metrics.all_pairs(vectors, np.array([7, 7, 7, 9, 9]))

    assert (len(pairs.mated), len(pairs.non_mated)) == (4, 6)


def test_evaluation_scores_people_as_a_search_does(tmp_path: Path) -> None:
    """The same faces, the same numbers, but for the float16 in which a replica keeps templates."""
    faces = unit_vectors(60, seed=2)
    people = np.random.default_rng(2).permutation(np.repeat(np.arange(1, 16), 4))
    replica = EngineHome(D, tmp_path, SealingHere()).empty("e")
    replica.fill([(np.arange(1, 61), people, faces.astype(np.float16))], [], sequence=1)
    probes = unit_vectors(5, seed=3)

    named, scores = metrics.person_scores(probes, faces, people)

    for probe, mine in zip(probes, scores, strict=True):
        told = {ranked.person: ranked.similarity for ranked in ranking.score(replica, probe, named.tolist())}
        assert told == pytest.approx(dict(zip(named.tolist(), mine.tolist(), strict=True)), abs=5e-4)
