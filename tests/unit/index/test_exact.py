"""The exact index answers as a few lines of NumPy do, whatever was done to it before."""

import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index.exact import ExactIndex
from index.protocol import Vectors
from services.errors import DimensionMismatch, InvalidVector
from tests.unit.index.arrays import D, unit_vectors

PROBES = unit_vectors(3, seed=99)
FACES = st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True)


class ExactAgainstNumPy(RuleBasedStateMachine):
    """Blocks of four rows, so that a few additions already span, fill and rewrite them."""

    def __init__(self) -> None:
        super().__init__()
        self.index = ExactIndex(D, block_rows=4)
        self.oracle: dict[int, Vectors] = {}
        self.sequence = 0

    @rule(faces=FACES, seed=st.integers(0, 2**16))
    def add(self, faces: list[int], seed: int) -> None:
        self.sequence += 1
        vectors = unit_vectors(len(faces), seed)
        self.index.add(faces, vectors, sequence=self.sequence)
        self.oracle |= dict(zip(faces, vectors, strict=True))

    @rule(faces=FACES)
    def remove(self, faces: list[int]) -> None:
        self.sequence += 1
        self.index.remove(faces, sequence=self.sequence)
        for face in faces:
            self.oracle.pop(face, None)

    @invariant()
    def answers_alike(self) -> None:
        hits = self.index.search(PROBES, 5, exclude={3, 7})
        faces = np.array(sorted(set(self.oracle) - {3, 7}), np.int64)
        vectors = np.array([self.oracle[face] for face in faces.tolist()], np.float32).reshape(-1, D)
        similarities = np.clip(PROBES @ vectors.T, -1, 1)
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :5]
        found = min(5, len(faces))
        np.testing.assert_array_equal(hits.ids[:, :found], faces[order])
        np.testing.assert_allclose(hits.similarities[:, :found], np.take_along_axis(similarities, order, 1), atol=1e-5)
        assert np.all(hits.ids[:, found:] == -1)
        assert np.all(hits.similarities[:, found:] == -np.inf)

    @invariant()
    def knows_what_it_holds(self) -> None:
        assert (len(self.index), self.index.sequence) == (len(self.oracle), self.sequence)
        faces = sorted(self.oracle)
        expected = np.array([self.oracle[face] for face in faces], np.float32).reshape(-1, D)
        np.testing.assert_allclose(self.index.vectors([*faces, 999])[:-1], expected, atol=1e-3)


TestExactAgainstNumPy = ExactAgainstNumPy.TestCase
TestExactAgainstNumPy.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_removed_face_is_never_found() -> None:
    index = ExactIndex(D)
    ana, ben = unit_vectors(2)
    index.add([7, 8], np.stack([ana, ben]), sequence=1)
    index.remove([7], sequence=2)

    hits = index.search(ana[None], k=2)

    assert hits.ids.tolist() == [[8, -1]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0])
def test_a_vector_that_cannot_be_compared_is_refused_before_anything_is_written(bad: float) -> None:
    index = ExactIndex(D)
    vectors = unit_vectors(3)
    vectors[1, 0] = bad

    with pytest.raises(InvalidVector, match="Vector 1"):
        index.add([1, 2, 3], vectors, sequence=1)
    assert (len(index), index.sequence) == (0, 0)
    with pytest.raises(InvalidVector):
        index.search(vectors, 1)


def test_another_dimension_is_refused() -> None:
    index = ExactIndex(D)

    with pytest.raises(DimensionMismatch):
        index.add([1], unit_vectors(1, dimension=8), sequence=1)
    with pytest.raises(DimensionMismatch):
        index.search(unit_vectors(1, dimension=8), 1)


def test_searching_while_adding_and_removing_does_not_crash() -> None:
    index = ExactIndex(D, block_rows=64)
    vectors = unit_vectors(1000)
    index.add(range(1, 501), vectors[:500], sequence=1)
    wrong: list[str] = []

    def search() -> None:
        for _ in range(300):
            hits = index.search(PROBES, 10)
            if not np.all(np.diff(hits.similarities) <= 0):
                wrong.append("not sorted")

    searchers = [threading.Thread(target=search) for _ in range(3)]
    for searcher in searchers:
        searcher.start()
    for n in range(500, 1000):
        index.add([n + 1], vectors[n : n + 1], sequence=n)
        index.remove([n - 400], sequence=n)
    for searcher in searchers:
        searcher.join()

    assert not wrong
