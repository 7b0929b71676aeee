"""The tail: the newest faces, searched exactly. It only grows; when it is full it is frozen and sealed."""

import numpy as np
from numpy.typing import NDArray

from index.engine.tombstones import Rows, Tombstones
from index.protocol import Half, Ids, Vectors

_FIRST_ROWS = 64


class Tail:
    """At most *most* rows, as float32 of what float16 keeps of them. One writer, any number of readers.

    A row is written before the number of rows that says it is there, and arrays are replaced by larger ones before they
    are written to: a reader takes the number first and finds at least that many rows.
    """

    def __init__(self, dimension: int, most: int) -> None:
        self._most = most
        self._count = 0
        self._ids: Ids = np.zeros(min(_FIRST_ROWS, most), np.int64)
        self._vectors: Vectors = np.zeros((len(self._ids), dimension), np.float32)
        self._row_of: dict[int, int] = {}
        self.tombstones = Tombstones(most)

    def __len__(self) -> int:
        return self._count

    @property
    def alive(self) -> int:
        """How many rows are not dead."""
        return self._count - self.tombstones.count

    @property
    def room(self) -> int:
        """How many more rows it takes."""
        return self._most - self._count

    @property
    def ids(self) -> Ids:
        """The numbers of its rows, in the order they came."""
        count = self._count
        return self._ids[:count]

    @property
    def vectors(self) -> Vectors:
        """Its rows, (n, d) float32."""
        count = self._count
        return self._vectors[:count]

    @property
    def half(self) -> Half:
        """Its rows as they are stored, (n, d) float16."""
        return self.vectors.astype(np.float16)

    def append(self, ids: Ids, vectors: Vectors) -> None:
        """Take rows in; *vectors* hold what float16 keeps. No more than there is room for."""
        count, after = self._count, self._count + len(ids)
        if after > len(self._ids):
            self._grow(after)
        self._ids[count:after] = ids
        self._vectors[count:after] = vectors
        self._row_of.update(zip(ids.tolist(), range(count, after), strict=True))
        self._count = after

    def rows_of(self, ids: Ids) -> Rows:
        """The rows of faces that are alive here, -1 for the others, as (n,) int64."""
        rows = np.fromiter((self._row_of.get(face, -1) for face in ids.tolist()), np.int64, len(ids))
        rows[(rows >= 0) & self.tombstones.are_dead(np.maximum(rows, 0))] = -1
        return rows

    def bury(self, row: int) -> bool:
        """Mark a row dead; False: it was."""
        return self.tombstones.bury(row)

    def nearest(self, queries: Vectors, k: int, dead: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Rows]:
        """The *k* most similar rows that are not in the bitmap *dead*: similarities and rows, (q, at most k).

        The bitmap was copied before this was called: a row that replaced a dead one since is among those compared.
        """
        vectors = self.vectors
        similarities = queries @ vectors.T
        passed = np.unpackbits(dead, count=len(vectors), bitorder="little").astype(bool)
        similarities[:, passed] = -np.inf
        if k < len(vectors):
            at = np.argpartition(-similarities, k - 1, axis=1)[:, :k]
        else:
            at = np.broadcast_to(np.arange(len(vectors)), similarities.shape)
        best = np.take_along_axis(similarities, at, 1)
        return best, np.where(np.isneginf(best), -1, at).astype(np.int64)

    def _grow(self, rows: int) -> None:
        size = min(self._most, max(rows, 2 * len(self._ids)))
        ids, vectors = np.zeros(size, np.int64), np.zeros((size, self._vectors.shape[1]), np.float32)
        ids[: self._count], vectors[: self._count] = self._ids[: self._count], self._vectors[: self._count]
        self._ids, self._vectors = ids, vectors
