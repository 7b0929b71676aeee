"""What every backend promises. The same tests for each."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.engine.compaction import Sizes
from index.engine.engine import Engine
from index.engine.sealing import SealingHere
from index.protocol import VectorIndex
from services.errors import DimensionMismatch, InvalidVector
from tests.unit.index.arrays import D, unit_vectors


@pytest.fixture(params=["one tail", "segments", pytest.param("milvus", marks=pytest.mark.slow)])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> VectorIndex:
    if request.param == "milvus":
        in_milvus: VectorIndex = request.getfixturevalue("in_milvus")
        return in_milvus
    sizes = {"one tail": Sizes(), "segments": Sizes(tail=2, segment=4, small=2)}[request.param]
    return Engine(D, tmp_path, SealingHere(), sizes=sizes)


@pytest.fixture
def in_milvus(request: pytest.FixtureRequest) -> Iterator[VectorIndex]:
    from index.milvus.index import MilvusIndex
    from index.milvus.server import Server

    server, name = Server(request.getfixturevalue("milvus").uri), f"protocol_{secrets.token_hex(4)}"
    server.create(name, D)
    yield MilvusIndex(server, name, D)
    server.drop(name)
    server.close()


def test_a_removed_face_is_never_found(index: VectorIndex) -> None:
    ana, ben = unit_vectors(2)
    index.add([7, 8], np.stack([ana, ben]), sequence=1)
    index.remove([7], sequence=2)
    index.settle()

    hits = index.search(ana[None], k=2)

    assert hits.ids.tolist() == [[8, -1]]


def test_an_added_face_is_found_at_once(index: VectorIndex) -> None:
    vectors = unit_vectors(9)
    for n, vector in enumerate(vectors):
        index.add([n + 1], vector[None], sequence=n + 1)
        index.settle()

        assert index.search(vector[None], 1).ids.tolist() == [[n + 1]]


def test_a_face_that_is_added_again_has_its_new_vector_only(index: VectorIndex) -> None:
    ana, ben = unit_vectors(2)
    index.add([7], ana[None], sequence=1)
    index.add([7], ben[None], sequence=2)

    hits = index.search(ben[None], k=3)

    assert (hits.ids.tolist(), len(index)) == ([[7, -1, -1]], 1)
    np.testing.assert_array_equal(index.vectors([7])[0], ben)


def test_everything_is_idempotent(index: VectorIndex) -> None:
    vectors = unit_vectors(3)
    for _ in range(2):
        index.add([1, 2, 3], vectors, sequence=4)
        index.remove([2, 77], sequence=5)
        index.settle()

    assert (len(index), index.sequence) == (2, 5)


def test_only_those_asked_for_are_looked_among(index: VectorIndex) -> None:
    vectors = unit_vectors(8)
    index.add(range(1, 9), vectors, sequence=1)
    index.settle()

    hits = index.search(vectors[:1], 8, among=np.array([2, 5, 99]), exclude={5})

    assert hits.ids[0].tolist() == [2, *[-1] * 7]


def test_an_empty_index_answers(index: VectorIndex) -> None:
    hits = index.search(unit_vectors(2), 3)

    assert hits.ids.tolist() == [[-1] * 3] * 2
    assert np.all(hits.similarities == -np.inf)


@pytest.mark.parametrize(
    ("vectors", "error"),
    [
        (unit_vectors(2, dimension=D + 1), DimensionMismatch),
        (unit_vectors(1), DimensionMismatch),
        (np.full((2, D), np.nan, np.float32), InvalidVector),
        (np.full((2, D), np.inf, np.float32), InvalidVector),
        (2 * unit_vectors(2), InvalidVector),
        (np.zeros((2, D), np.float32), InvalidVector),
    ],
    ids=["another dimension", "another number", "not a number", "infinite", "not normalised", "zeros"],
)
def test_a_vector_that_cannot_be_compared_is_refused_before_anything_is_written(
    index: VectorIndex, vectors: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error):
        index.add([1, 2], vectors, sequence=3)

    assert (len(index), index.sequence) == (0, 0)


def test_a_query_that_cannot_be_compared_is_refused(index: VectorIndex) -> None:
    index.add([1], unit_vectors(1), sequence=1)
    for query, error in [
        (np.full((1, D), np.nan, np.float32), InvalidVector),
        (unit_vectors(1, 0, 8), DimensionMismatch),
    ]:
        with pytest.raises(error):
            index.search(query, 1)
