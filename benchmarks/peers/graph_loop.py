"""What the process of a graph index does: build from a file, answer one query at a time, say what each took.

The standard library and NumPy only. One line of JSON in, one out.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 10_000
"""Vectors that are added at a time."""


class Graph(Protocol):
    """A peer's index of float32 vectors of norm 1, by inner product."""

    def add(self, first: int, vectors: NDArray[np.float32]) -> None:
        """Add vectors (n, d), numbered from *first* on."""

    def search(self, query: NDArray[np.float32], k: int, ef: int) -> list[int]:
        """The numbers of the *k* nearest to one query, (1, d), best first."""


def serve(versions: dict[str, str], made: Callable[[int, int, int, int, int], Graph]) -> None:
    """Answer until standard input ends. *made* takes dimension, capacity, links, effort of construction, threads."""
    answers = sys.stdout
    sys.stdout = sys.stderr  # What a library prints is no answer.
    graph: Graph | None = None
    queries = np.zeros((0, 0), np.float32)
    _say(answers, versions)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "build":
            queries = np.load(asked["queries"], allow_pickle=False)
            vectors = np.load(asked["vectors"], mmap_mode="r", allow_pickle=False)
            before = _resident_mb()
            cpu, wall = time.process_time(), time.perf_counter()
            graph = made(vectors.shape[1], len(vectors), asked["links"], asked["effort"], asked["threads"])
            for first in range(0, len(vectors), AT_ONCE):
                graph.add(first, vectors[first : first + AT_ONCE].astype(np.float32))
            spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
            _say(answers, {**spent, "memory_mb": _resident_mb() - before})
        else:
            assert graph is not None
            query = queries[asked["query"] : asked["query"] + 1]
            cpu, wall = time.process_time(), time.perf_counter()
            found = graph.search(query, asked["k"], asked["ef"])
            wall_ms, cpu_ms = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)
            _say(answers, {"cpu_ms": cpu_ms, "wall_ms": wall_ms, "rows": found})


def _say(answers: TextIO, document: dict[str, Any]) -> None:
    answers.write(json.dumps(document) + "\n")
    answers.flush()


def _resident_mb() -> float:
    """Memory of its own, files that are mapped left out."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
