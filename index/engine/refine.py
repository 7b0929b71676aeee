"""Exact similarities of chosen rows: float32 query times stored float16, computed by FAISS on a scratch index.

NumPy takes ten times as long, most of it for the conversion of float16.
"""

import threading
from collections.abc import Iterator

import faiss
import numpy as np
from numpy.typing import NDArray

from index.engine.tombstones import Bits, Rows, all_but
from index.protocol import Half, Vectors

CHUNK = 16_384
"""Rows compared at a time, a multiple of 8: 16 MB at 512 numbers, whatever is compared."""

_FIRST_ROOM = 1024
_mine = threading.local()


class ExactRows:
    """Room for float16 rows, in memory of FAISS, which compares the first :attr:`count` of them with queries.

    One thread writes rows and then raises the count; others may compare meanwhile: they see the rows before or after.
    """

    def __init__(self, dimension: int, room: int) -> None:
        self._index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._index.add_sa_codes(np.zeros((room, 2 * dimension), np.uint8))
        held = faiss.rev_swig_ptr(self._index.codes.data(), 2 * room * dimension)
        self.vectors: Half = held.view(np.float16).reshape(room, dimension)
        """(room, d), to be written to."""
        self._index.ntotal = 0

    @property
    def count(self) -> int:
        """How many rows are compared."""
        return int(self._index.ntotal)

    @count.setter
    def count(self, rows: int) -> None:
        self._index.ntotal = rows

    def nearest(self, queries: Vectors, k: int, passed: Bits | None = None) -> tuple[NDArray[np.float32], Rows]:
        """The *k* rows most similar to each query, (q, k), best first, but those in the bitmap *passed*; -1 past the last."""
        parameters = None if passed is None else faiss.SearchParameters(sel=all_but(passed))  # type: ignore[call-arg] # Wrapped.
        found: tuple[NDArray[np.float32], Rows] = self._index.search(queries, k, params=parameters)
        return found

    def similarities(self, query: Vectors) -> NDArray[np.float32]:
        """The cosine of one query, (d,), with each row, (count,)."""
        count = self.count
        scores, rows = self._index.search(query[None], count)  # A range search takes ten times as long.
        found = np.empty(count, np.float32)
        found[rows[0]] = scores[0]
        return found


def stay_in_this_thread() -> None:
    """Have FAISS use no other threads for what this one asks: it keeps that number for each thread."""
    if not hasattr(_mine, "scratch"):
        _mine.scratch = {}
        faiss.omp_set_num_threads(1)


def scratch(dimension: int, rows: int) -> ExactRows:
    """This thread's rows to overwrite, *rows* of them, at most :data:`CHUNK`; gone at the next call."""
    stay_in_this_thread()
    held: ExactRows | None = _mine.scratch.get(dimension)
    if held is None or len(held.vectors) < rows:
        held = _mine.scratch[dimension] = ExactRows(dimension, max(_FIRST_ROOM, 1 << (rows - 1).bit_length()))
    held.count = rows
    return held


def _filled(vectors: Half) -> ExactRows:
    held = scratch(vectors.shape[1], len(vectors))
    held.vectors[: len(vectors)] = vectors
    return held


def chunks(vectors: Half) -> Iterator[Half]:
    """*vectors*, :data:`CHUNK` rows at a time."""
    for first in range(0, len(vectors), CHUNK):
        yield vectors[first : first + CHUNK]


def similarities(query: Vectors, vectors: Half) -> NDArray[np.float32]:
    """The cosines of one query, (d,) float32, with (n, d) float16 vectors, as (n,) float32."""
    found = (_filled(chunk).similarities(query) for chunk in chunks(vectors))
    return np.concatenate([np.zeros(0, np.float32), *found])


def nearest(queries: Vectors, vectors: Half, k: int, dead: Bits | None = None) -> tuple[NDArray[np.float32], Rows]:
    """The *k* most similar of (n, d) float16 vectors to each query, best first.

    Args:
        queries: (q, d) float32.
        vectors: What is compared.
        k: At least 1.
        dead: A bitmap of rows to pass over, lowest bit first.

    Returns:
        Similarities (q, at most k) float32 and rows (q, at most k) int64; -inf and -1 where rows ran out.
    """
    best, at = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for first in range(0, len(vectors), CHUNK):
        part = vectors[first : first + CHUNK]
        bits = None if dead is None else dead[first // 8 : (first + len(part) + 7) // 8]
        scores, rows = _filled(part).nearest(queries, min(k, len(part)), bits)
        best = np.concatenate([best, np.where(rows < 0, -np.inf, scores).astype(np.float32)], 1)
        at = np.concatenate([at, np.where(rows < 0, -1, rows + first)], 1)
        if best.shape[1] > k:
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, at = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
    return best, at
