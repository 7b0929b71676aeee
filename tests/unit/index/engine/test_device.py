"""Devices: segments scanned by their vectors answer as those scanned by codes do, and nothing is on the CPU in silence.

A card here is FAISS's scalar quantizer in memory, which computes as a GPU does and keeps a smaller number of rows a query,
so that every way round a GPU's limits is taken. What needs a GPU is marked, and skipped where there is none.
"""

import gc
import threading
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import rule

from index.engine import device
from index.engine.compaction import Sizes
from index.engine.device import Card, Cards, Device, Processor, chosen
from index.engine.engine import Engine
from index.engine.flat import RULES, FlatScan, Precision, Turn, in_memory
from index.engine.home import EngineHome
from index.engine.scan import CodeScan, Scan
from index.engine.sealing import SealingHere
from index.engine.segment import Segment
from index.protocol import Half, Vectors
from services.errors import CannotStart, Unavailable
from tests.unit.index.arrays import D, unit_vectors
from tests.unit.index.engine.beside import searches_that_failed
from tests.unit.index.engine.test_engine import TINY, EngineAgainstNumPy, settled

PRECISIONS: Sequence[Precision] = ("fp16", "int8")
SMALL = Sizes(tail=50, segment=400, dead=20)

no_gpu = "no GPU is here, or a FAISS for the CPU only (CI has none either)"
on_a_gpu = pytest.mark.skipif(not getattr(faiss, "get_num_gpus", lambda: 0)(), reason=no_gpu)


class AtOnce(Cards):
    """Cards that are done when asked, so that what a test does is in one order."""

    def begin(self, segment: Segment, folder: Path) -> "Future[Scan | None]":
        begun = super().begin(segment, folder)
        wait([begun])
        return begun


def cards(precision: Precision = "fp16", *, most: int = 64, strict: bool = False, room: int | None = None) -> Cards:
    return AtOnce([Card("memory", in_memory, most=most, budget_bytes=room)], precision, strict=strict)


class EngineOnACard(EngineAgainstNumPy):
    """Eight rows a query: more than the dead of a segment at times, and fewer at others."""

    precision: Precision = "fp16"

    def opened(self) -> Engine:
        return Engine(D, self.folder, self.sealer, sizes=replace(TINY, dead=2), device=cards(self.precision, most=8))

    @rule()
    def prepare(self) -> None:
        self.engine.prepare()


class EngineOnACardOfBytes(EngineOnACard):
    """The same with int8."""

    precision: Precision = "int8"


class EngineWithLittleRoom(EngineOnACard):
    """A card that holds some segments of sixteen rows; the others are scanned by codes."""

    def opened(self) -> Engine:
        room = 2 * 20 * D
        return Engine(D, self.folder, self.sealer, sizes=replace(TINY, dead=2), device=cards(most=8, room=room))


TestEngineOnACard = EngineOnACard.TestCase
TestEngineOnACardOfBytes = EngineOnACardOfBytes.TestCase
TestEngineWithLittleRoom = EngineWithLittleRoom.TestCase
few = settings(max_examples=20, stateful_step_count=25, deadline=None)
TestEngineOnACard.settings = TestEngineOnACardOfBytes.settings = TestEngineWithLittleRoom.settings = few


def filled(folder: Path, scanned_on: Device, vectors: Vectors, sizes: Sizes = SMALL) -> Engine:
    engine = Engine(vectors.shape[1], folder, SealingHere(), sizes=sizes, device=scanned_on)
    engine.prepare()
    engine.fill([(np.arange(1, len(vectors) + 1), vectors.astype(np.float16))], sequence=1)
    return engine


def scans(engine: Engine) -> set[type[Scan] | None]:
    segments = [part for part in engine.parts if isinstance(part, Segment)]
    return {type(part.scan) if part.scan is not None else None for part in segments}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_filled_index_is_on_the_card_before_the_first_search(tmp_path: Path, precision: Precision) -> None:
    vectors = unit_vectors(1000, dimension=64)

    engine = filled(tmp_path, cards(precision), vectors)

    assert scans(engine) == {FlatScan}
    assert engine.search(vectors, 1).ids[:, 0].tolist() == list(range(1, 1001))
    assert not list(tmp_path.glob("*.codes"))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("k", [1, 10, 60, 200])
def test_the_nearest_are_found_whatever_is_passed_over(precision: Precision, k: int) -> None:
    vectors, queries = unit_vectors(800, dimension=64), unit_vectors(7, seed=1, dimension=64)
    half, turn = vectors.astype(np.float16), Turn()
    scan = FlatScan(in_memory(half, precision, turn), half, RULES[precision], most=64, turn=turn)
    exact = queries @ vectors.T
    for passed in (0, 5, 70, 500, 799, 800):
        dead = np.random.default_rng(passed).choice(800, passed, replace=False)
        bits = np.zeros(800, np.uint8)
        bits[dead] = 1

        scores, rows = scan.nearest(queries, k, np.packbits(bits, bitorder="little"))

        there = np.where(bits, -np.inf, exact)
        wanted = min(k, 800 - passed)
        best = -np.sort(-there, axis=1)[:, :wanted]
        assert rows.shape == scores.shape == (7, wanted)
        assert not np.isin(rows, dead).any()
        np.testing.assert_allclose(np.take_along_axis(exact, rows, 1), best, atol=0.02 if precision == "int8" else 1e-3)


def test_a_segment_with_more_dead_than_are_worth_fetching_is_written_anew(tmp_path: Path) -> None:
    vectors = unit_vectors(400, dimension=64)
    engine = filled(tmp_path, cards(), vectors)

    engine.remove(range(1, 22), sequence=2)
    settled(engine)

    [segment] = [part for part in engine.parts if isinstance(part, Segment)]
    assert (len(segment), type(segment.scan)) == (379, FlatScan)


def test_a_filter_that_leaves_few_finds_them(tmp_path: Path) -> None:
    vectors = unit_vectors(9000, dimension=64)
    engine = filled(tmp_path, cards(), vectors, Sizes(tail=50, segment=4500))
    among = np.arange(2, 9000, 2)  # More than are compared one by one anyway.

    hits = engine.search(vectors[:20], 5, among=among)

    similarities = np.minimum(vectors[:20] @ vectors[among - 1].T, 1)
    np.testing.assert_allclose(hits.similarities, -np.sort(-similarities, axis=1)[:, :5], atol=1e-5)
    assert np.isin(hits.ids, among).all()


def test_a_face_that_is_removed_on_its_way_to_the_card_is_never_found_again(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def made(vectors: Half, precision: Precision, turn: Turn) -> faiss.Index:
        goes_on.wait(10)
        return in_memory(vectors, precision, turn)

    slow = Cards([Card("slow", made, most=64)], "fp16", strict=True)
    engine = Engine(D, tmp_path, SealingHere(), sizes=TINY, device=slow)
    engine.prepare()
    vectors = unit_vectors(5)
    engine.add([1, 2, 3, 4, 5], vectors, sequence=1)
    settled(engine)

    assert scans(engine) == set()  # Its tail stays until the segment is there.
    engine.remove([2], sequence=2)
    assert engine.search(vectors, 1).ids[:, 0].tolist() != [1, 2, 3, 4, 5]
    goes_on.set()
    while engine.settle():
        pass

    assert scans(engine) == {FlatScan}
    assert 2 not in engine.search(vectors[1:2], 5).ids


def test_without_room_auto_searches_the_rest_on_the_cpu_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vectors = unit_vectors(1000, dimension=64)
    engine = filled(tmp_path, cards(room=2 * 900 * 64), vectors)

    settled(engine)

    assert scans(engine) == {FlatScan, CodeScan}
    assert engine.search(vectors, 1).ids[:, 0].tolist() == list(range(1, 1001))
    assert "No GPU has room for 200 more faces" in caplog.text


def test_what_the_gpu_says_when_it_is_full_is_passed_on(tmp_path: Path) -> None:
    def full(vectors: Half, precision: Precision, turn: Turn) -> faiss.Index:
        del vectors, precision, turn
        raise RuntimeError("out of memory (cudaMalloc error)")

    vectors = unit_vectors(500, dimension=64)
    with pytest.raises(Unavailable, match=r"(400|100).*cudaMalloc.*GPU_VECTORS=int8"):
        filled(tmp_path, Cards([Card("cuda:0", full, most=64)], "fp16", strict=True), vectors)


def test_without_room_cuda_still_answers_and_says_what_helps(tmp_path: Path) -> None:
    vectors = unit_vectors(5)
    engine = Engine(D, tmp_path, SealingHere(), sizes=TINY, device=cards(strict=True, room=1))
    engine.prepare()

    engine.add([1, 2, 3, 4, 5], vectors, sequence=1)
    settled(engine)

    assert engine.search(vectors, 1).ids[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert "another GPU" in engine.trouble
    assert not list(tmp_path.glob("*.codes"))


def test_what_is_dropped_gives_its_room_back(tmp_path: Path) -> None:
    card = Card("memory", in_memory, most=64, budget_bytes=2 * 500 * 64)
    two = [filled(tmp_path, AtOnce([card], "fp16", strict=True), unit_vectors(400, dimension=64))]
    assert card.used_bytes == 2 * 400 * 64

    two.clear()
    gc.collect()

    assert card.used_bytes == 0
    filled(tmp_path, AtOnce([card], "fp16", strict=True), unit_vectors(450, dimension=64))


def test_searches_go_on_while_segments_come_to_the_card_and_leave_it(tmp_path: Path) -> None:
    beside = Cards([Card("memory", in_memory, most=64)], "fp16", strict=True)
    engine = Engine(D, tmp_path, SealingHere(), sizes=Sizes(tail=16, segment=64, small=2, dead=4), device=beside)
    engine.prepare()

    failed = searches_that_failed(engine, rounds=200)

    assert not failed


def test_segments_are_spread_over_the_cards(tmp_path: Path) -> None:
    several = [Card(f"memory:{n}", in_memory, most=64) for n in range(2)]

    engine = filled(tmp_path, AtOnce(several, "fp16", strict=True), unit_vectors(1600, dimension=64))

    assert [card.used_bytes for card in several] == [2 * 800 * 64] * 2
    assert engine.search(unit_vectors(3, dimension=64), 1).ids[:, 0].tolist() == [1, 2, 3]


def test_only_what_is_searched_goes_to_the_card(tmp_path: Path) -> None:
    card = Card("memory", in_memory, most=64)
    home = EngineHome(64, tmp_path, SealingHere(), device=AtOnce([card], "fp16", strict=True), sizes=SMALL)
    replica = home.empty("first")
    numbers, half = np.arange(1, 801), unit_vectors(800, dimension=64).astype(np.float16)

    replica.fill([(numbers, numbers, half)], [], sequence=1)

    assert card.used_bytes == replica.templates.vectors(numbers).nbytes / 2
    while replica.faces.settle() or replica.templates.settle():
        pass
    assert card.used_bytes == replica.templates.vectors(numbers).nbytes / 2


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="this FAISS can use a GPU")
def test_cuda_does_not_start_with_a_faiss_for_the_cpu() -> None:
    with pytest.raises(CannotStart, match=r"built for the CPU only.*pip install 'colega\[gpu\]'"):
        chosen("cuda", "fp16")


@pytest.mark.skipif(bool(getattr(faiss, "get_num_gpus", lambda: 0)()), reason="there is a GPU")
@pytest.mark.parametrize("wanted", ["auto", "cpu"])
def test_without_a_gpu_the_processor_is_chosen(wanted: device.Wanted) -> None:
    assert isinstance(chosen(wanted, "fp16"), Processor)
    assert chosen(wanted, "fp16").name == "cpu"


@on_a_gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("passed", [0, 5, 900, 5000])
def test_a_gpu_finds_what_numpy_finds(tmp_path: Path, precision: Precision, passed: int) -> None:
    vectors, queries = unit_vectors(20_000, dimension=512), unit_vectors(50, seed=1, dimension=512)
    engine = filled(tmp_path, chosen("cuda", precision), vectors, Sizes(tail=50, segment=8000, dead=6000))
    gone = np.random.default_rng(2).choice(20_000, passed, replace=False)
    engine.remove(gone + 1, sequence=2)

    hits = engine.search(queries, 10)

    similarities = queries @ vectors.T
    similarities[:, gone] = -np.inf
    np.testing.assert_allclose(hits.similarities, -np.sort(-similarities, axis=1)[:, :10], atol=1e-5)
    assert scans(engine) == {FlatScan}


@on_a_gpu
def test_a_gpu_that_is_full_leaves_the_rest_to_the_cpu(tmp_path: Path) -> None:
    vectors = unit_vectors(4000, dimension=512)
    engine = filled(tmp_path, chosen("auto", "fp16", budget_mb=2), vectors, Sizes(tail=50, segment=1000))

    settled(engine, 20)

    assert scans(engine) == {FlatScan, CodeScan}
    assert engine.search(vectors[::40], 1).ids[:, 0].tolist() == list(range(1, 4001, 40))


@on_a_gpu
def test_a_gpu_gives_back_what_was_dropped(tmp_path: Path) -> None:
    gpu = chosen("cuda", "fp16", budget_mb=64)
    for _ in range(20):
        filled(tmp_path, gpu, unit_vectors(40_000, dimension=512), Sizes(tail=50, segment=20_000))
        gc.collect()
