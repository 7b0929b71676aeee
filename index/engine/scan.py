"""Scanning a segment: a way to candidates, of which the exact similarities are then taken.

:class:`CodeScan` is the compressed one, on the CPU: 4-bit codes compared by table look-ups in registers, 32 rows at a
time. How many candidates it must bring for a recall@10 of 0.999 was measured from 4,000 to a million rows, real faces
among them: ``70 * (n / 1000)^(1/3)`` (docs/index.md). Candidates cost next to nothing in the scan and under a
microsecond each afterwards.

Source: Andre, Kermarrec, Le Scouarnec, *Cache locality is not enough*, 2015; FAISS's ``IndexIVFPQFastScan``. The class
with lists is used with one list because it is the one that takes a selector.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from index.engine.codebook import GROUP, Codes, quantizer
from index.engine.tombstones import Bits, Rows, all_but
from index.protocol import Vectors

_BLOCK = 32
_AT_ONCE = 16
"""Queries that are compared with a block of codes at once. With FAISS's own choice a batch of 64 takes a third longer."""
_LEAST_CANDIDATES = 128
_LEAST_FROM_A_SEGMENT = 64


@dataclass(frozen=True, slots=True)
class Rule:
    """How many candidates a kind of scan must bring. Scores under one rule are compared with each other."""

    candidates: Callable[[int, int], int]
    """Of so many rows in all, so that the best *k* are among them."""
    from_each: Callable[[int, int], int]
    """From each of so many segments, *candidates* being wanted of all."""


class Scan(Protocol):
    """A segment made ready to be scanned. Safe to use from several threads."""

    @property
    def rule(self) -> Rule:
        """How many candidates it must be asked for."""

    @property
    def hot_bytes(self) -> int:
        """What it keeps in this process's memory."""

    def nearest(self, queries: Vectors, k: int, passed: Bits) -> tuple[NDArray[np.float32], Rows]:
        """The *k* rows of the best scores for each query, but those in the bitmap *passed*.

        Returns:
            Scores (q, at most k) float32, to be compared under the same rule only: they need not be cosines; and rows
            int64 of that shape, -1 past the last one.
        """


def candidates(rows: int, k: int) -> int:
    """How many of *rows* coded rows are compared exactly, so that the best *k* are among them."""
    base = max(_LEAST_CANDIDATES, round(70 * float(np.cbrt(rows / 1000))))
    return min(rows, max(base, round(base * float((k / 10) ** 0.75)), 2 * k))


def _from_each(base: int, segments: int) -> int:
    return base if segments == 1 else max(_LEAST_FROM_A_SEGMENT, 2 * base // segments + 50)


BY_CODES = Rule(candidates, _from_each)


class CodeScan:
    """A :class:`Scan` over the codes of a segment, packed for it."""

    rule = BY_CODES

    def __init__(self, codes: Codes, dimension: int) -> None:
        groups = dimension // GROUP
        centre = faiss.IndexFlatIP(dimension)
        centre.add(np.zeros((1, dimension), np.float32))
        plain = faiss.IndexIVFPQ(centre, dimension, 1, groups, 4, faiss.METRIC_INNER_PRODUCT)
        plain.by_residual = False
        plain.pq = quantizer(dimension)
        plain.is_trained = True
        rows = np.arange(len(codes), dtype=np.int64)
        held = np.ascontiguousarray(codes)
        assert plain.invlists is not None
        plain.invlists.add_entries(0, len(codes), faiss.swig_ptr(rows), faiss.swig_ptr(held))
        plain.ntotal = len(codes)
        self._centre = centre
        self.hot_bytes = codes.nbytes
        self._packed = faiss.IndexIVFPQFastScan(plain, _BLOCK)
        self._packed.qbs2 = _AT_ONCE  # type: ignore[attr-defined] # Its types lack it.
        self._last: tuple[Bits, faiss.SearchParametersIVF] | None = None
        """The last bitmap, and FAISS's parameters for it."""

    def nearest(self, queries: Vectors, k: int, passed: Bits) -> tuple[NDArray[np.float32], Rows]:
        """See :class:`Scan`. Best first; the scores are smaller than the cosines."""
        last = self._last
        if last is None or last[0] is not passed:  # Making them takes as long as scanning 5,000 rows.
            parameters = faiss.SearchParametersIVF(nprobe=1, sel=all_but(passed))  # type: ignore[call-arg] # Wrapped.
            last = self._last = passed, parameters
        scores, rows = self._packed.search(queries, min(k, self._packed.ntotal), params=last[1])
        return scores, rows
