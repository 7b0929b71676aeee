"""All pairs above a threshold, and no others: as if every pair had been compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import pairs
from index.pairs import pairs_above
from index.protocol import Half
from services.errors import InvalidRequest
from tests.unit.index.arrays import around, unit_vectors

MANY = 1_000_000


def _crowd(count: int, dimension: int, people: int, seed: int) -> Half:
    """Faces of some people, the first of them twice, and one that was removed meanwhile."""
    random = np.random.default_rng(seed)
    faces = unit_vectors(people, seed, dimension)[random.integers(people, size=count)]
    faces = faces + random.normal(size=faces.shape) * 0.7 / np.sqrt(dimension)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    if count > 3:
        faces[1], faces[2] = faces[0], 0
    return np.asarray(faces, np.float16)


def _compared(vectors: Half) -> np.ndarray:
    """Similarities of all with all, which float64 has exactly."""
    exact = vectors.astype(np.float64)
    return exact @ exact.T


def _expect_all(vectors: Half, threshold: float) -> None:
    expected = np.argwhere(np.triu(_compared(vectors) >= threshold, 1))

    found = pairs_above(vectors, threshold, most=MANY)

    np.testing.assert_array_equal(np.stack([found.first, found.second], 1), expected)
    np.testing.assert_allclose(found.similarities, _compared(vectors)[tuple(expected.T)].clip(-1, 1), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 60),
    dimension=st.sampled_from([1, 2, 3, 16, 130]),
    people=st.integers(1, 12),
    threshold=st.floats(0.01, 1),
    seed=st.integers(0, 2**16),
)
def test_the_pairs_are_those_of_brute_force(
    count: int, dimension: int, people: int, threshold: float, seed: int
) -> None:
    _expect_all(_crowd(count, dimension, people, seed), threshold)


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(65, 200),
    dimension=st.sampled_from([129, 150]),
    people=st.integers(1, 60),
    at=st.floats(0, 1),
    above=st.sampled_from([-1e-7, 0, 1e-7]),
    seed=st.integers(0, 2**16),
)
def test_bounds_lose_no_pair_at_the_very_threshold(
    count: int, dimension: int, people: int, at: float, above: float, seed: int
) -> None:
    vectors = _crowd(count, dimension, people, seed)
    levels = np.unique(_compared(vectors)[np.triu_indices(count, 1)])
    levels = np.array([*levels[levels > 0.3], 0.5])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pairs, "_FEWEST", 64)
        _expect_all(vectors, float(min(levels[int(at * (len(levels) - 1))] + above, 1)))


@pytest.mark.parametrize("axes", [16, 32, 64, 128])
def test_however_many_axes_are_kept_and_blocks_compared_the_pairs_are_the_same(
    axes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "_AXES", (axes,))
    monkeypatch.setattr(pairs, "_FEWEST", 64)

    _expect_all(_crowd(1100, 140, 200, 1), 0.6)


def test_a_person_with_a_thousand_photos_is_half_a_million_pairs() -> None:
    vectors = around(unit_vectors(1, 5, 160)[0], 1000, 0.02, 5).astype(np.float16)

    found = pairs_above(vectors, 0.5, most=1_000_000)

    assert len(found) == 1000 * 999 // 2


def test_more_pairs_than_allowed_are_refused_with_what_to_do() -> None:
    vectors = around(unit_vectors(1)[0], 50, 0.01, 1).astype(np.float16)

    with pytest.raises(InvalidRequest, match=r"More than 100 pairs .* 0\.5 or more\. Give a higher threshold"):
        pairs_above(vectors, 0.5, most=100)
