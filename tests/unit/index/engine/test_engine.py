"""The engine answers as a few lines of NumPy do, whatever was done to it, sealed, merged or restored before."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index.engine.compaction import Sizes
from index.engine.engine import Engine
from index.engine.sealing import Outcome, SealingHere, Work
from index.engine.segment import Segment
from index.protocol import Hits, Vectors
from tests.unit.index.arrays import D, unit_vectors
from tests.unit.index.engine.beside import searches_that_failed

PROBES = unit_vectors(3, seed=99)
FACES = st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True)
TINY = Sizes(tail=4, segment=16, small=2)


class SealingLater(SealingHere):
    """Does the work at once and tells of it when it is let: what happens to a part meanwhile happens in between."""

    def __init__(self) -> None:
        super().__init__()
        self.tells = True

    def outcome(self, ticket: int) -> Outcome | None:
        return super().outcome(ticket) if self.tells else None


class EngineAgainstNumPy(RuleBasedStateMachine):
    """Tails of four rows and segments of sixteen, so that a few additions are sealed, merged and written anew."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.sealer = SealingLater()
        self.engine = self.opened()
        self.oracle: dict[int, Vectors] = {}
        self.sequence = 0
        self.gone: dict[bytes, int] = {}
        """What was removed or replaced, as it lies in files, and by which log entry; two faces may have had it."""

    def opened(self) -> Engine:
        return Engine(D, self.folder, self.sealer, sizes=TINY)

    @rule(faces=FACES, seed=st.integers(0, 2**16))
    def add(self, faces: list[int], seed: int) -> None:
        self.sequence += 1
        vectors = unit_vectors(len(faces), seed)
        self.bury(faces)
        self.engine.add(faces, vectors, sequence=self.sequence)
        self.oracle |= dict(zip(faces, vectors, strict=True))

    @rule(faces=FACES)
    def remove(self, faces: list[int]) -> None:
        self.sequence += 1
        self.bury(faces)
        self.engine.remove(faces, sequence=self.sequence)
        for face in faces:
            self.oracle.pop(face, None)

    @rule(back=st.integers(0, 6))
    def hasten(self, back: int) -> None:
        wanted = self.sequence - back
        self.engine.hasten(wanted)
        self.sealer.tells = True
        for _ in range(40):
            self.engine.settle()
        assert self.engine.cleansed >= wanted

    def bury(self, faces: list[int]) -> None:
        old = [self.oracle[face] for face in faces if face in self.oracle]
        self.gone |= {vector.astype("<f2").tobytes(): self.sequence for vector in old}

    @rule(tells=st.booleans())
    def settle(self, tells: bool) -> None:
        self.sealer.tells = tells
        self.engine.settle()

    @rule()
    def die_and_restore(self) -> None:
        image = self.engine.image()
        self.engine = self.opened()
        self.engine.restore(image)

    @rule()
    def start_from_rows(self) -> None:
        faces = sorted(self.oracle)
        blocks = [
            (np.array(part, np.int64), np.stack([self.oracle[face] for face in part]).astype(np.float16))
            for part in (faces[start : start + 3] for start in range(0, len(faces), 3))
        ]
        self.engine = self.opened()
        self.engine.fill(iter(blocks), sequence=self.sequence)

    @invariant()
    def answers_alike(self) -> None:
        self.compare(self.engine.search(PROBES, 5, exclude={3, 7}), set(self.oracle) - {3, 7})

    @invariant()
    def looks_among_those_asked_for(self) -> None:
        some = np.arange(2, 60, 3)
        self.compare(self.engine.search(PROBES, 5, among=some), set(self.oracle) & set(some.tolist()))

    @invariant()
    def knows_what_it_holds(self) -> None:
        assert (len(self.engine), self.engine.sequence) == (len(self.oracle), self.sequence)
        faces = sorted(self.oracle)
        expected = np.array([self.oracle[face] for face in faces], np.float32).reshape(-1, D)
        np.testing.assert_array_equal(self.engine.vectors(faces), expected)
        np.testing.assert_allclose(self.engine.similarities(PROBES[0], faces), expected @ PROBES[0], atol=1e-5)
        assert not self.engine.vectors([41, 42]).any()
        assert np.all(self.engine.similarities(PROBES[0], [41]) == -np.inf)

    @invariant()
    def what_is_cleansed_is_in_none_of_its_files(self) -> None:
        used = [self.folder / name for name in self.engine.files() if name.endswith(".vectors")]
        held = b"".join(file.read_bytes() for file in used if file.exists())
        there = {vector.astype("<f2").tobytes() for vector in self.oracle.values()}
        gone = {raw for raw, sequence in self.gone.items() if sequence <= self.engine.cleansed} - there
        assert not any(raw in held for raw in gone)

    def compare(self, hits: Hits, there: set[int]) -> None:
        faces = np.array(sorted(there), np.int64)
        vectors = np.array([self.oracle[face] for face in faces.tolist()], np.float32).reshape(-1, D)
        similarities = np.clip(PROBES @ vectors.T, -1, 1)
        order = np.argsort(-similarities, axis=1, kind="stable")[:, :5]
        found = min(5, len(faces))
        np.testing.assert_allclose(hits.similarities[:, :found], np.take_along_axis(similarities, order, 1), atol=1e-5)
        for row, ids in enumerate(hits.ids[:, :found]):  # Of equal ones either may come.
            assert len(set(ids.tolist())) == found
            its = [similarities[row, int(np.searchsorted(faces, face))] for face in ids.tolist()]
            np.testing.assert_allclose(hits.similarities[row, :found], its, atol=1e-5)
            assert set(ids.tolist()) <= there
        assert np.all(hits.ids[:, found:] == -1)
        assert np.all(hits.similarities[:, found:] == -np.inf)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)


TestEngineAgainstNumPy = EngineAgainstNumPy.TestCase
TestEngineAgainstNumPy.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def settled(engine: Engine, times: int = 6) -> Engine:
    for _ in range(times):
        engine.settle()
    return engine


def test_a_face_that_is_removed_while_its_segment_is_sealed_is_never_found_again(tmp_path: Path) -> None:
    sealer = SealingLater()
    engine = Engine(D, tmp_path, sealer, sizes=TINY)
    vectors = unit_vectors(5)
    engine.add([1, 2, 3, 4, 5], vectors, sequence=1)
    sealer.tells = False
    engine.settle()

    engine.remove([2], sequence=2)
    sealer.tells = True
    settled(engine)

    assert any(isinstance(part, Segment) for part in engine.parts)
    assert 2 not in engine.search(vectors[1:2], 5).ids


def test_what_was_removed_leaves_the_disk(tmp_path: Path) -> None:
    engine = Engine(D, tmp_path, SealingHere(), sizes=Sizes(tail=4, segment=16, small=2, erased_after_s=0.0))
    vectors = unit_vectors(5)
    engine.add([1, 2, 3, 4, 5], vectors, sequence=1)
    settled(engine)

    engine.remove([2], sequence=2)
    settled(engine)

    [segment] = [part for part in engine.parts if isinstance(part, Segment)]
    assert segment.ids.tolist() == [1, 3, 4]
    raw = vectors[1].astype(np.float16).tobytes()
    assert raw not in b"".join((tmp_path / name).read_bytes() for name in engine.files() if (tmp_path / name).exists())


@pytest.mark.slow
def test_searches_go_on_while_faces_come_and_go(tmp_path: Path) -> None:
    engine = Engine(D, tmp_path, SealingHere(), sizes=Sizes(tail=32, segment=256, small=3))

    failed = searches_that_failed(engine, rounds=300)

    assert not failed


def test_a_segment_of_which_everything_was_removed_is_searched_as_nothing(tmp_path: Path) -> None:
    engine = Engine(D, tmp_path, SealingHere(), sizes=Sizes(tail=4, segment=16, small=2, dead_share=2.0))
    vectors = unit_vectors(9)
    engine.fill([(np.arange(1, 10), vectors.astype(np.float16))], sequence=1)
    engine.search(vectors, 1)
    settled(engine)

    engine.remove(range(1, 10), sequence=2)

    assert np.all(engine.search(vectors, 3).ids == -1)


class SealingFails:
    """A sealer whose disk is full."""

    def begin(self, work: Work) -> int:
        del work
        return 1

    def outcome(self, ticket: int) -> Outcome | None:
        return Outcome(ticket, "OSError: [Errno 28] No space left on device")


def test_without_room_for_segments_every_face_is_found_still(tmp_path: Path) -> None:
    engine = Engine(D, tmp_path, SealingFails(), sizes=TINY)
    vectors = unit_vectors(30)

    engine.add(range(1, 31), vectors, sequence=1)
    settled(engine)

    assert engine.search(vectors, 1).ids[:, 0].tolist() == list(range(1, 31))
    assert "No space" in engine.trouble


@pytest.mark.parametrize("keeping", ["mapped", "memory"])
def test_large_collections_are_scanned_by_their_codes(tmp_path: Path, keeping: str) -> None:
    vectors = unit_vectors(3000, dimension=64)
    engine = Engine(64, tmp_path, SealingHere(), keeping=keeping, sizes=Sizes(tail=100, segment=800))  # type: ignore[arg-type]
    engine.fill([(np.arange(1, 3001), vectors.astype(np.float16))], sequence=9)
    engine.search(vectors[:1], 1)

    settled(engine)

    assert all(part.scan is not None for part in engine.parts if isinstance(part, Segment))
    assert engine.search(vectors[::10], 1).ids[:, 0].tolist() == list(range(1, 3001, 10))
    assert engine.search(vectors[5:6], 50).ids[0, 0] == 6


def test_what_a_batch_of_the_log_removes_counts_from_the_batchs_first_entry(tmp_path: Path) -> None:
    engine = Engine(D, tmp_path, SealingHere(), sizes=TINY)
    engine.add([1, 2, 3, 4, 5], unit_vectors(5), sequence=5)
    settled(engine)
    engine.add([6], unit_vectors(1, seed=6), sequence=9)

    engine.remove([2], sequence=9)

    assert engine.cleansed == 5
    engine.hasten(9)
    assert settled(engine).cleansed == 9
