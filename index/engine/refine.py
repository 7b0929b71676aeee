"""Exact similarities of chosen rows: float32 query times stored float16, computed by FAISS on a scratch index.

NumPy takes ten times as long, most of it for the conversion of float16.
"""

import threading

import faiss
import numpy as np
from numpy.typing import NDArray

from index.engine.tombstones import Bits, Rows, all_but
from index.protocol import Half, Vectors

CHUNK = 16_384
"""Rows compared at a time, a multiple of 8: 16 MB at 512 numbers, whatever is compared."""

_FIRST_ROOM = 1024
_ALL = -2.0
_mine = threading.local()


class Scratch:
    """A FAISS index whose rows are overwritten at every use. Each thread has its own: :func:`scratch`."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self._rows: Half = np.zeros((0, dimension), np.float16)

    def room(self, rows: int) -> Half:
        """(rows, d) float16 to write what is to be compared into; it belongs to FAISS. At most :data:`CHUNK` rows."""
        if rows > len(self._rows):
            size = max(_FIRST_ROOM, 1 << (rows - 1).bit_length())
            self._index.reset()
            self._index.add_sa_codes(np.zeros((size, 2 * self._dimension), np.uint8))
            held = faiss.rev_swig_ptr(self._index.codes.data(), 2 * size * self._dimension)
            self._rows = held.view(np.float16).reshape(size, self._dimension)
        self._index.ntotal = rows
        return self._rows[:rows]

    def nearest(self, queries: Vectors, k: int, passed: Bits | None = None) -> tuple[NDArray[np.float32], Rows]:
        """Of the rows written, the *k* most similar to each query, best first, but those in the bitmap *passed*."""
        parameters = None if passed is None else faiss.SearchParameters(sel=all_but(passed))  # type: ignore[call-arg] # Wrapped.
        found: tuple[NDArray[np.float32], Rows] = self._index.search(queries, k, params=parameters)
        return found

    def similarities(self, query: Vectors) -> NDArray[np.float32]:
        """The cosine of one query, (d,), with each of the rows written."""
        found = np.empty(self._index.ntotal, np.float32)
        _, scores, rows = self._index.range_search(query[None], _ALL)
        found[rows] = scores
        return found


def scratch(dimension: int) -> Scratch:
    """This thread's scratch index for vectors of that length."""
    if not hasattr(_mine, "scratch"):
        _mine.scratch = {}
        faiss.omp_set_num_threads(1)  # FAISS keeps this number for each thread.
    if dimension not in _mine.scratch:
        _mine.scratch[dimension] = Scratch(dimension)
    held: Scratch = _mine.scratch[dimension]
    return held


def similarities(query: Vectors, vectors: Half) -> NDArray[np.float32]:
    """The cosines of one query, (d,) float32, with (n, d) float16 vectors, as (n,) float32."""
    room = scratch(vectors.shape[1])
    found = [np.zeros(0, np.float32)]
    for first in range(0, len(vectors), CHUNK):
        part = vectors[first : first + CHUNK]
        room.room(len(part))[:] = part
        found.append(room.similarities(query))
    return np.concatenate(found)


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
    room = scratch(vectors.shape[1])
    best, at = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for first in range(0, len(vectors), CHUNK):
        part = vectors[first : first + CHUNK]
        room.room(len(part))[:] = part
        bits = None if dead is None else dead[first // 8 : (first + len(part) + 7) // 8]
        scores, rows = room.nearest(queries, min(k, len(part)), bits)
        best = np.concatenate([best, np.where(rows < 0, -np.inf, scores).astype(np.float32)], 1)
        at = np.concatenate([at, np.where(rows < 0, -1, rows + first)], 1)
        if best.shape[1] > k:
            order = np.argsort(-best, axis=1, kind="stable")[:, :k]
            best, at = np.take_along_axis(best, order, 1), np.take_along_axis(at, order, 1)
    return best, at
