"""Search on a GPU: queries a second, recall against float32, memory; and, on any machine, how many candidates its rounding costs.

Vectors are spread as FaceNet's are: mean of norm 0.345, variance that falls with the dimension, persons of 5 faces whose
cosines are 0.69. Half of the queries are faces of persons who are there, half of strangers.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import Row, describe, finish, parser
from index.engine.device import Cards, chosen
from index.engine.engine import Engine
from index.engine.flat import RULES, Precision, Turn, in_memory
from index.engine.refine import nearest
from index.engine.sealing import SealingHere
from index.protocol import Half, Ids, Vectors
from services.errors import CannotStart

DIMENSION, CHUNK, PER_PERSON = 512, 50_000, 5
PRECISIONS: tuple[Precision, ...] = ("fp16", "int8")
COVERED = 0.9995


class Crowd:
    """Faces in chunks, each made from its number alone."""

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        variance = (np.arange(1, DIMENSION + 1) + 18.0) ** -1.6
        self._mean = random.normal(size=DIMENSION)
        self._mean *= 0.345 / np.linalg.norm(self._mean)
        within, spread = 0.31, variance / variance.sum()
        self._between = np.sqrt(spread * (1 - 0.345**2 - within))
        self._within = np.sqrt(within * (0.6 * spread + 0.4 / DIMENSION))
        self._axes = np.linalg.qr(random.normal(size=(DIMENSION, DIMENSION)))[0]

    def chunk(self, number: int) -> Half:
        """(CHUNK, 512) float16."""
        random = np.random.default_rng([1, number])
        return self._faces(self._centres(number).repeat(PER_PERSON, 0), random).astype(np.float16)

    def queries(self, count: int, chunks: int) -> Vectors:
        """(count, 512) float32, none of them in a chunk."""
        random = np.random.default_rng(2)
        known = self._centres(int(random.integers(0, chunks)))[: count // 2]
        return self._faces(np.concatenate([known, self._centres(-1)[: count - len(known)]]), random)

    def _centres(self, number: int) -> NDArray[np.float64]:
        random = np.random.default_rng([0, number + 1])
        normals = random.standard_normal((CHUNK // PER_PERSON, DIMENSION)) * self._between
        centres: NDArray[np.float64] = self._mean + normals @ self._axes
        return centres

    def _faces(self, centres: NDArray[np.float64], random: np.random.Generator) -> Vectors:
        vectors = centres + (random.standard_normal(centres.shape) * self._within) @ self._axes
        unit: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        return unit


def main() -> None:
    """The cost of rounding, then the GPU where there is one."""
    made = parser(__doc__)
    asked = made.parse_args()
    crowd, rows, notes = Crowd(), [], [f"needed: candidates of which {COVERED:.2%} of the true k are among"]
    for chunks in (1,) if asked.quick else (1, 8):
        rows += _needed(crowd, chunks)
    try:
        chosen("cuda", "fp16")
    except CannotStart as error:
        notes.append(f"No GPU was measured: {error}")
    else:
        rows += _on_the_gpu(crowd, asked)
    finish(rows, asked.json, machine=describe(), notes=notes)


def _needed(crowd: Crowd, chunks: int) -> list[Row]:
    """How far down an inexact order the true nearest are, computed in memory as a GPU does."""
    vectors = np.concatenate([crowd.chunk(number) for number in range(chunks)])
    queries, rows = crowd.queries(300, chunks), []
    for precision in PRECISIONS:
        index = in_memory(vectors, precision, Turn())
        rounded = queries.astype(np.float16).astype(np.float32) if precision == "fp16" else queries
        _, order = index.search(rounded, 700)
        for k in (10, 100, 500):
            _, true = nearest(queries, vectors, k)
            places = [np.flatnonzero(np.isin(mine, top)) for mine, top in zip(order, true, strict=True)]
            needed = np.concatenate([np.sort(place)[:k] for place in places]) + 1
            missing = k * len(queries) - len(needed)
            needed = np.sort(np.concatenate([needed, np.full(missing, 10**6)]))
            case = f"{len(vectors):,} faces, {precision}, k = {k}"
            rows += [
                Row(case, "needed", float(needed[int(COVERED * len(needed))])),
                Row(case, "needed for all", float(needed[-1])),
                Row(case, "fetched", RULES[precision].candidates(len(vectors), k)),
            ]
    return rows


def _on_the_gpu(crowd: Crowd, asked: argparse.Namespace) -> list[Row]:
    rows = []
    for chunks in (4,) if asked.quick else (20, 200):
        queries = crowd.queries(256, chunks)
        true = _true(crowd, chunks, queries)
        for precision in PRECISIONS:
            rows += _timed(crowd, chunks, precision, queries, true)
    return rows


def _timed(crowd: Crowd, chunks: int, precision: Precision, queries: Vectors, true: Ids) -> list[Row]:
    cards, case = chosen("cuda", precision), f"{chunks * CHUNK:,} faces, {precision}"
    assert isinstance(cards, Cards)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(DIMENSION, Path(folder), SealingHere(), device=cards)
        engine.prepare()
        started = time.perf_counter()
        engine.fill(_blocks(crowd, chunks), sequence=1)
        filled_s = time.perf_counter() - started
        rows = [Row(case, "filled, s", filled_s), Row(case, "GPU MB", cards.used_bytes / 2**20)]
        found = engine.search(queries, 10).ids
        hits = [len(set(mine.tolist()) & set(top.tolist())) for mine, top in zip(found, true, strict=True)]
        rows.append(Row(case, "recall@10", sum(hits) / true.size))
        for batch in (1, 64):
            times = []
            for first in range(0, len(queries) - batch + 1, batch):
                started = time.perf_counter()
                engine.search(queries[first : first + batch], 10)
                times.append(time.perf_counter() - started)
            rows.append(Row(case, f"queries/s, batch {batch}", batch / statistics.median(times)))
    return rows


def _blocks(crowd: Crowd, chunks: int) -> Iterator[tuple[Ids, Half]]:
    for number in range(chunks):
        yield np.arange(number * CHUNK, (number + 1) * CHUNK) + 1, crowd.chunk(number)


def _true(crowd: Crowd, chunks: int, queries: Vectors) -> Ids:
    """The numbers of the ten nearest in float32, (q, 10)."""
    best, at = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for numbers, vectors in _blocks(crowd, chunks):
        best = np.concatenate([best, queries @ vectors.astype(np.float32).T], 1)
        at = np.concatenate([at, np.broadcast_to(numbers, (len(queries), len(numbers)))], 1)
        order = np.argsort(-best, axis=1)[:, :10]
        best, at = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
    return at


if __name__ == "__main__":
    main()
