"""Exact search over float16 vectors: every face is compared with every query, in FAISS.

"Exact" means the float32 query times the stored float16 vector. Vectors lie in blocks: a block is rewritten alone when
too many of its rows are dead, and memory never doubles while an index grows. FAISS crashes when an index is searched
and changed at once, so one lock serves both; at the sizes this backend is for a search takes milliseconds.
"""

import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import faiss
import numpy as np
from numpy.typing import NDArray

from index.protocol import Hits, Ids, Vectors
from services.errors import DimensionMismatch, InvalidVector

BLOCK_ROWS = 16_384
_DEAD_SHARE = 0.1
_NORM_TOLERANCE = 2e-3  # float16 rounds each of 512 numbers by up to 2^-11 of itself.


class ExactIndex:
    """A :class:`index.protocol.VectorIndex` that compares with every vector. Safe to use from several threads."""

    def __init__(self, dimension: int, *, sequence: int = 0, block_rows: int = BLOCK_ROWS) -> None:
        self._dimension = dimension
        self._sequence = sequence
        self._block_rows = block_rows
        self._blocks: list[_Block] = []
        self._places: dict[int, tuple[_Block, int]] = {}
        self._lock = threading.Lock()

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._dimension

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""
        return self._sequence

    def __len__(self) -> int:
        return len(self._places)

    def add(self, ids: Sequence[int] | Ids, vectors: Vectors, *, sequence: int) -> None:
        """Make faces findable; one that is there gets the new vector.

        Raises:
            DimensionMismatch, InvalidVector: See :class:`index.protocol.VectorIndex`. Nothing was written.
        """
        numbers = np.asarray(ids, np.int64)
        checked = validated(vectors, self._dimension, rows=len(numbers))
        with self._lock:
            self._bury(numbers.tolist())
            start = 0
            while start < len(numbers):
                block = self._roomy_block()
                count = min(len(numbers) - start, self._block_rows - len(block.ids))
                part = slice(start, start + count)
                first = block.append(numbers[part], checked[part])
                self._places |= {int(n): (block, first + row) for row, n in enumerate(numbers[part])}
                start += count
            self._compact()
            self._sequence = sequence

    def remove(self, ids: Sequence[int] | Ids, *, sequence: int) -> None:
        """Make faces unfindable, at once and for every later search."""
        with self._lock:
            self._bury(np.asarray(ids, np.int64).tolist())
            self._compact()
            self._sequence = sequence

    def advance(self, sequence: int) -> None:
        """Note that the log was read up to *sequence* although nothing here changed."""
        self._sequence = sequence

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The stored vectors of faces, as (n, d) float32; zeros for those that are not there."""
        found = np.zeros((len(ids), self._dimension), np.float32)
        with self._lock:
            by_block: dict[_Block, list[tuple[int, int]]] = {}
            for n, face in enumerate(ids):
                if place := self._places.get(int(face)):
                    by_block.setdefault(place[0], []).append((n, place[1]))
            for block, pairs in by_block.items():
                at, rows = zip(*pairs, strict=True)
                found[list(at)] = block.faiss.reconstruct_batch(np.array(rows, np.int64))
        return found

    def search(self, queries: Vectors, k: int, *, exclude: AbstractSet[int] = frozenset()) -> Hits:
        """The *k* most similar faces to each query, best first; of equal ones the lower number first.

        Raises:
            DimensionMismatch: The queries have another dimension.
            InvalidVector: A query is not finite or not of norm 1.
        """
        asked = validated(queries, self._dimension, rows=len(queries))
        with self._lock:
            without = [self._places[face] for face in exclude if face in self._places]
            parts = [block.search(asked, k, [row for b, row in without if b is block]) for block in self._blocks]
        empty = (np.full((len(asked), k), -1, np.int64), np.full((len(asked), k), -np.inf, np.float32))
        ids = np.concatenate([part[0] for part in parts] + [empty[0]], axis=1)
        similarities = np.concatenate([part[1] for part in parts] + [empty[1]], axis=1)
        order = np.lexsort((ids, -similarities), axis=1)[:, :k]
        best = np.take_along_axis(ids, order, 1), np.take_along_axis(similarities, order, 1)
        return Hits(best[0], np.where(best[0] < 0, -np.inf, np.clip(best[1], -1, 1)).astype(np.float32))

    def _roomy_block(self) -> "_Block":
        if not self._blocks or len(self._blocks[-1].ids) >= self._block_rows:
            self._blocks.append(_Block(self._dimension))
        return self._blocks[-1]

    def _bury(self, ids: Sequence[int]) -> None:
        for face in ids:
            if place := self._places.pop(face, None):
                place[0].bury(place[1])

    def _compact(self) -> None:
        for block in [b for b in self._blocks if b.dead_count > max(_DEAD_SHARE * len(b.ids), 32)]:
            self._blocks.remove(block)
            if len(kept := block.compacted()):
                self._blocks.insert(0, kept)  # Not last: the last one is appended to.
                self._places |= {int(face): (kept, row) for row, face in enumerate(kept.ids)}


class _Block:
    """Rows that FAISS scans together, some of them dead."""

    def __init__(self, dimension: int) -> None:
        self.faiss = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        self.ids: NDArray[np.int64] = np.empty(0, np.int64)
        self.dead: NDArray[np.bool_] = np.empty(0, np.bool_)
        self.dead_count = 0

    def __len__(self) -> int:
        return len(self.ids) - self.dead_count

    def append(self, ids: Ids, vectors: Vectors) -> int:
        """Add rows; the number of the first of them."""
        first = len(self.ids)
        self.faiss.add(vectors)
        self.ids = np.concatenate([self.ids, ids])
        self.dead = np.concatenate([self.dead, np.zeros(len(ids), np.bool_)])
        return first

    def bury(self, row: int) -> None:
        """Make a row unfindable."""
        self.dead[row] = True
        self.dead_count += 1

    def compacted(self) -> "_Block":
        """The living rows, in a block of their own."""
        alive = np.flatnonzero(~self.dead)
        block = _Block(self.faiss.d)
        if len(alive):
            block.append(self.ids[alive], self.faiss.reconstruct_batch(alive))
        return block

    def search(self, queries: Vectors, k: int, without: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        """The nearest living rows as face numbers, (q, k') with k' at most *k*, and their similarities."""
        k = min(k, len(self.ids))
        parameters = None
        if self.dead_count or without:
            hidden = self.dead.copy()
            hidden[list(without)] = True
            bits = np.packbits(hidden, bitorder="little")
            # A selector in the parameters is honoured by flat indexes; both objects must live while FAISS searches.
            bitmap = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorNot(bitmap))  # type: ignore[call-arg]
        faiss.omp_set_num_threads(1)  # It counts for the calling thread only.
        similarities, rows = self.faiss.search(queries, k, params=parameters)
        return np.where(rows < 0, -1, self.ids[rows]), np.where(rows < 0, -np.inf, similarities)


def validated(vectors: Vectors, dimension: int, *, rows: int) -> Vectors:
    """*vectors* as C-contiguous (rows, dimension) float32.

    Raises:
        DimensionMismatch: They have another shape.
        InvalidVector: A row is not finite or not of norm 1.
    """
    array = np.ascontiguousarray(vectors, np.float32)
    if array.shape != (rows, dimension):
        raise DimensionMismatch(f"Vectors of shape ({rows}, {dimension}) were expected; these have {array.shape}.")
    norms = np.linalg.norm(array, axis=1)
    if not np.all(np.abs(norms - 1) <= _NORM_TOLERANCE):  # Not `any(>)`: that lets NaN through.
        worst = int(np.argmax(np.where(np.isfinite(norms), np.abs(norms - 1), np.inf)))
        raise InvalidVector(
            f"Vector {worst} has norm {norms[worst]:.4f}; only finite vectors of norm 1 can be compared."
        )
    return array
