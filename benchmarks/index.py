"""The exact index: one query's time by size, and the memory of a process that holds a replica as the searcher does.

Vectors are random directions of 512 numbers around 1 centre for every 5 faces, as 5 photos a person are. The time of an
exact search does not depend on what the vectors are.
"""

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import Row, describe, finish, parser, pin
from index import ranking
from index.protocol import Vectors
from index.replica import Replica
from workers import searcher

DIMENSION, PER_PERSON, BATCH = 512, 5, 4096


def main() -> None:
    """Measure each size in turn, the largest last: memory is the peak so far."""
    made = parser(__doc__)
    asked = made.parse_args()
    machine, rows = describe(), []
    pin()
    rows.append(Row(f"imports of {searcher.__name__}", "resident MB", _resident_mb()))
    for faces in (1_000, 10_000) if asked.quick else (1_000, 10_000, 100_000):
        rows += _measure(faces)
    finish(rows, asked.json, machine=machine, notes=["one thread on one core; vectors as float16"])


def _measure(faces: int) -> list[Row]:
    random = np.random.default_rng(7)
    replica = Replica(DIMENSION, epoch="bench")
    started = time.process_time()
    generated_s = 0.0
    for first in range(0, faces, BATCH):
        before = time.process_time()
        numbers = np.arange(first + 1, min(first + BATCH, faces) + 1)
        vectors = _faces_of(numbers // PER_PERSON, random)
        generated_s += time.process_time() - before
        replica.load(numbers, numbers // PER_PERSON + 1, vectors, sequence=1)
    load_s = time.process_time() - started - generated_s
    queries = _faces_of(random.integers(0, faces // PER_PERSON, 60), random)
    ranking.rank(replica, queries[:1], 10)
    times, ranks = [], []
    for query in queries:
        between = time.process_time()
        replica.index.search(query[None], 64)
        after = time.process_time()
        ranking.rank(replica, query[None], 10)
        times.append(after - between)
        ranks.append(time.process_time() - after)
    new = _faces_of(np.array([faces + 1]), random)
    before = time.process_time()
    replica.index.add([faces + 10], new, sequence=2)
    added = time.process_time()
    replica.index.remove([faces + 10], sequence=3)
    removed = time.process_time()
    case = f"{faces:,} faces"
    return [
        Row(case, "load, CPU s", load_s),
        Row(case, "64 nearest faces, median CPU ms", 1000 * statistics.median(times)),
        Row(case, "10 nearest persons, median CPU ms", 1000 * statistics.median(ranks)),
        Row(case, "add one, CPU ms", 1000 * (added - before)),
        Row(case, "remove one, CPU ms", 1000 * (removed - added)),
        Row(case, "resident MB of the process", _resident_mb()),
    ]


def _faces_of(persons: np.ndarray, random: np.random.Generator) -> Vectors:
    centres = np.stack([np.random.default_rng(int(person)).normal(size=DIMENSION) for person in persons])
    vectors = (centres + 0.6 * random.normal(size=centres.shape)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * 4096 / 2**20


if __name__ == "__main__":
    main()
