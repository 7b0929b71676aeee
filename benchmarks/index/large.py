"""Ten million faces: made chunk by chunk, codes in memory, vectors on disk. What is exact is found in the same pass."""

import shutil
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import NEVER_WORN, K, folder_in
from benchmarks.index.galleries import SEED, Truth
from benchmarks.index.latency import Switched
from benchmarks.index.population import CHUNK, Population, fitted
from benchmarks.index.real import real_faces
from benchmarks.index.recall import NEAR
from benchmarks.index.timing import Times, in_turn
from benchmarks.machine import Row
from index.engine.engine import Engine
from index.engine.sealing import SealingHere
from index.engine.segment import Segment
from index.protocol import Half, Ids, Vectors

_BYTES_A_FACE = 1200
_BLOCK = 12_500


class _Stream:
    """Faces as an index is filled with them; what making them and comparing them takes is counted apart."""

    def __init__(self, population: Population, chunks: int, truth: Truth) -> None:
        self._population = population
        self._chunks = chunks
        self._truth = truth
        self.cpu_s = 0.0
        self.wall_s = 0.0

    def blocks(self) -> Iterator[tuple[Ids, Half]]:
        """Numbered from 1."""
        for number in range(self._chunks):
            cpu, wall = time.process_time(), time.perf_counter()
            made = self._population.chunk(number).vectors
            ids = np.arange(CHUNK) + number * CHUNK + 1
            for first in range(0, CHUNK, _BLOCK):
                some = slice(first, first + _BLOCK)
                self._truth.see(made[some], ids[some], alive=np.ones(_BLOCK, np.bool_))
            half = made.astype(np.float16)
            self.cpu_s += time.process_time() - cpu
            self.wall_s += time.perf_counter() - wall
            yield ids, half


def told(asked: Asked) -> Told:
    """Build, recall, latency."""
    chunks = 4 if asked.quick else 200
    size = chunks * CHUNK
    if shutil.disk_usage(asked.folder).free < size * _BYTES_A_FACE:
        return Told([], [f"{asked.folder} has no room for {faces(size)}"])
    population = Population(fitted(real_faces()), SEED + 2)
    queries = _queries(population, chunks)
    truth = Truth(queries)
    stream = _Stream(population, chunks, truth)
    helper = Switched()
    with folder_in(asked.folder) as folder:
        engine = Engine(queries.shape[1], folder, SealingHere(), helper=helper, sizes=NEVER_WORN)
        cpu, wall = time.process_time(), time.perf_counter()
        engine.fill(stream.blocks(), sequence=1)
        engine.prepare()
        while engine.settle():
            pass
        cpu, wall = time.process_time() - cpu - stream.cpu_s, time.perf_counter() - wall - stream.wall_s
        assert all(part.scan is not None for part in engine.parts if isinstance(part, Segment))
        case = faces(size)
        built = [
            Row(case, "build, CPU s", cpu),
            Row(case, "build, wall s", wall),
            Row(case, "segments", sum(isinstance(part, Segment) for part in engine.parts)),
            Row(case, "hot bytes by its own account, MB", engine.hot_bytes / 2**20),
        ]
        rows = [*built, *_searched(engine, helper, queries, truth, case)]
    return Told(rows, ["vectors are mapped; the system may keep them in its cache; made people only"])


def _queries(population: Population, chunks: int, of_people: int = 400, strangers: int = 100) -> Vectors:
    random = np.random.default_rng([SEED, chunks])
    found = [population.strangers(strangers, random)]
    for number in random.integers(0, chunks, 8).tolist():
        persons = random.choice(population.chunk(number).persons, of_people // 8)
        found.append(population.held_out(number, persons, random))
    return np.concatenate(found)


def _searched(engine: Engine, helper: Switched, queries: Vectors, truth: Truth, case: str) -> list[Row]:
    ids = np.zeros((len(queries), K), np.int64)

    def one(n: int) -> None:
        helper.helps = False
        ids[n] = engine.search(queries[n : n + 1], K).ids[0]

    def helped(n: int) -> None:
        helper.helps = True
        engine.search(queries[n : n + 1], K)

    times: dict[str, Times] = in_turn({"one": one, "helped": helped}, {"one": len(queries), "helped": len(queries)})
    true, similar = (each[:, :K] for each in truth.best())
    there = (true[:, :, None] == ids[:, None, :]).any(2)
    return [
        Row(case, f"recall@{K}", float(there.mean())),
        Row(case, f"recall@{K}, cosine {NEAR:g} or more", float(there[similar >= NEAR].mean())),
        *times["one"].rows(case, "one query"),
        *times["helped"].rows(case, "one query, two threads"),
    ]
