"""The flat scan: every row compared, exactly in float16 or nearly in int8, on a GPU or, as there, in memory.

On a GPU FAISS selects at most 2,048 rows a query (16,384 where it was built with cuVS), and its flat index passes a
selector over in silence. So more are fetched than are wanted, and those to pass over are dropped; where too few are
left, as behind a filter, the query is compared exactly on the CPU.

What a scan fetches is compared again with the unrounded query, so its own rounding costs candidates, not recall. Float16
needs one more than *k* and int8 an eighth more, from 20,000 to 400,000 faces (docs/gpu.md); the rules here have a margin.
"""

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from index.engine import refine
from index.engine.scan import Rule
from index.engine.tombstones import Bits, Rows
from index.protocol import Half, Vectors

Precision = Literal["fp16", "int8"]
"""How a GPU keeps vectors: 2 bytes a number, or 1."""

_LIST_ROWS = 2048
_MOST_LISTS = 1024
"""A GPU scans the lists of one query side by side, each in one block of threads; all are always scanned."""


def _of_all(base: int, segments: int) -> int:
    """All of the best may be in one segment."""
    del segments
    return base


BY_HALVES = Rule(lambda rows, k: min(rows, k + k // 64 + 16), _of_all)
BY_BYTES = Rule(lambda rows, k: min(rows, k + k // 8 + 32), _of_all)
RULES: dict[Precision, Rule] = {"fp16": BY_HALVES, "int8": BY_BYTES}


class Turn:
    """One user of a card at a time. FAISS's GPU indexes share scratch memory and are not safe to use from two threads.

    What is let go is freed in the next turn, because freeing is use, and an index may be let go in any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._let_go: deque[faiss.Index] = deque()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Wait for one's turn."""
        with self._lock:
            self._let_go.clear()
            yield

    def let_go(self, index: "faiss.Index") -> None:
        """Have an index freed that nobody uses any more."""
        self._let_go.append(index)


class Maker(Protocol):
    """Makes the FAISS index of a segment's vectors, (n, d) float16, its rows numbered from 0."""

    def __call__(self, vectors: Half, precision: Precision, turn: Turn) -> "faiss.Index":
        """Made in turns, each short enough for searches that wait.

        Raises:
            RuntimeError: There is no room for it.
        """


class FlatScan:
    """A :class:`index.engine.scan.Scan` over all rows of a segment."""

    hot_bytes = 0

    def __init__(self, index: "faiss.Index", vectors: Half, rule: Rule, *, most: int, turn: Turn) -> None:
        self.rule = rule
        self._index = index
        self._vectors = vectors
        self._most = most
        self._turn = turn
        weakref.finalize(self, turn.let_go, index).atexit = False

    def nearest(self, queries: Vectors, k: int, passed: Bits) -> tuple[NDArray[np.float32], Rows]:
        """See :class:`index.engine.scan.Scan`. Best first."""
        rows = len(self._vectors)
        count = _count(passed, rows)
        wanted = min(k, rows - count)
        best = np.full((len(queries), wanted), -np.inf, np.float32)
        at = np.full((len(queries), wanted), -1, np.int64)
        if not wanted:
            return best, at
        lacking = np.arange(len(queries))
        for fetched in _fetches(wanted, count, min(self._most, rows)):
            with self._turn():
                scores, found = self._index.search(queries[lacking], fetched)
            kept = (passed[found >> 3] >> (found & 7).astype(np.uint8) & 1) == 0
            full = kept.sum(1) >= wanted
            order = np.argsort(~kept, axis=1, kind="stable")[full, :wanted]
            best[lacking[full]] = np.take_along_axis(scores[full], order, 1)
            at[lacking[full]] = np.take_along_axis(found[full], order, 1)
            lacking = lacking[~full]
            if not len(lacking):
                return best, at
        best[lacking], at[lacking] = refine.nearest(queries[lacking], self._vectors, wanted, passed)
        return best, at


def _fetches(wanted: int, passed: int, most: int) -> list[int]:
    """How many rows to fetch, in vain perhaps at first: of those to pass over few are usually among the nearest."""
    if wanted > most:
        return []
    return sorted({min(most, wanted + min(passed, wanted)), min(most, wanted + passed)})


def _count(bits: Bits, rows: int) -> int:
    """How many of the first *rows* bits are set."""
    whole, left = divmod(rows, 8)
    rest = int(bits[whole]) & ((1 << left) - 1) if left else 0
    return int(np.bitwise_count(bits[:whole]).sum()) + rest.bit_count()


def in_memory(vectors: Half, precision: Precision, turn: Turn) -> "faiss.Index":
    """A :class:`Maker` on the CPU, with the arithmetic of a GPU. Slower than codes: for tests, and to be copied."""
    del turn
    if precision == "int8":
        return _lists_of_bytes(vectors)
    dimension = vectors.shape[1]
    index = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for part in refine.chunks(vectors):
        index.add_sa_codes(np.ascontiguousarray(part).view(np.uint8))
    return index


def on_gpu(resources: "faiss.StandardGpuResources", number: int) -> Maker:
    """A :class:`Maker` on the card of that number."""

    def made(vectors: Half, precision: Precision, turn: Turn) -> "faiss.Index":
        if precision == "int8":
            config = faiss.GpuIndexIVFScalarQuantizerConfig()  # type: ignore[attr-defined] # A GPU build has it.
            config.device, config.use_cuvs = number, False  # cuVS's has quantised residuals only.
            lists = _lists_of_bytes(vectors)
            with turn():
                index: faiss.Index = faiss.GpuIndexIVFScalarQuantizer(resources, lists, config)  # type: ignore[attr-defined]
                index.nprobe = lists.nlist  # type: ignore[attr-defined]
                index.referenced_objects = []  # type: ignore[attr-defined] # Else it keeps what it was copied from.
                return index
        flat = faiss.GpuIndexFlatConfig()
        flat.device, flat.useFloat16, flat.use_cuvs = number, True, has_cuvs()
        with turn():
            index = faiss.GpuIndexFlat(resources, vectors.shape[1], faiss.METRIC_INNER_PRODUCT, flat)
        try:
            for part in refine.chunks(vectors):
                rows = part.astype(np.float32)
                with turn():
                    index.add(rows)
        except RuntimeError:
            turn.let_go(index)
            del index  # The traceback would keep it, and free it out of turn.
            raise
        return index

    return made


def has_cuvs() -> bool:
    """Whether FAISS was built with cuVS, which selects more rows a query."""
    return "CUVS" in faiss.get_compile_options()


def _lists_of_bytes(vectors: Half) -> "faiss.IndexIVFScalarQuantizer":
    """int8 by each dimension's own range, in lists of rows as they come, all of which are scanned."""
    rows, dimension = vectors.shape
    lists = max(1, min(_MOST_LISTS, rows // _LIST_ROWS))
    centre = faiss.IndexFlatIP(dimension)
    centre.add(np.zeros((lists, dimension), np.float32))
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(centre, dimension, lists, kind, faiss.METRIC_INNER_PRODUCT, False)
    lowest, highest = _ranges(vectors)
    faiss.copy_array_to_vector(np.concatenate([lowest, highest - lowest]), index.sq.trained)
    index.is_trained, index.nprobe = True, lists
    assert index.invlists is not None
    for n, (first, end) in enumerate(pairwise(n * rows // lists for n in range(lists + 1))):
        codes = index.sq.compute_codes(vectors[first:end].astype(np.float32))
        numbers = np.arange(first, end)
        index.invlists.add_entries(n, len(numbers), faiss.swig_ptr(numbers), faiss.swig_ptr(codes))
    index.ntotal = rows
    return index


def _ranges(vectors: Half) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The least and the greatest of each dimension, (d,) float32."""
    lows, highs = zip(*((part.min(0), part.max(0)) for part in refine.chunks(vectors)), strict=True)
    return np.min(lows, 0).astype(np.float32), np.max(highs, 0).astype(np.float32)
