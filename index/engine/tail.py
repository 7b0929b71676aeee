"""The tail: the newest faces, searched exactly. It only grows; when it is full it is frozen and sealed."""

import numpy as np
from numpy.typing import NDArray

from index.engine.refine import ExactRows
from index.engine.tombstones import Bits, Rows, Tombstones
from index.protocol import Half, Ids

_FIRST_ROWS = 16


class Tail:
    """At most *most* rows, as float16. One writer, any number of readers.

    A row is written before the number of rows that says it is there, and arrays are replaced by larger ones before they
    are written to: a reader takes the number first and finds at least that many rows.
    """

    def __init__(self, dimension: int, most: int) -> None:
        self._most = most
        self._count = 0
        self._ids: Ids = np.zeros(min(_FIRST_ROWS, most), np.int64)
        self._rows = ExactRows(dimension, len(self._ids))
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
    def vectors(self) -> Half:
        """Its rows, (n, d) float16."""
        count = self._count
        return self._rows.vectors[:count]

    def append(self, ids: Ids, vectors: Half) -> None:
        """Take rows in, no more than there is room for."""
        count, after = self._count, self._count + len(ids)
        if after > len(self._ids):
            self._grow(after)
        self._ids[count:after] = ids
        self._rows.vectors[count:after] = vectors
        self._row_of.update(zip(ids.tolist(), range(count, after), strict=True))
        self._count = self._rows.count = after

    def rows_of(self, ids: Ids) -> Rows:
        """The rows of faces that are alive here, -1 for the others, as (n,) int64."""
        rows = np.fromiter((self._row_of.get(face, -1) for face in ids.tolist()), np.int64, len(ids))
        rows[(rows >= 0) & self.tombstones.are_dead(np.maximum(rows, 0))] = -1
        return rows

    def bury(self, row: int, since: int = 0) -> bool:
        """Mark a row dead, which no earlier log entry than *since* removed; False: it was."""
        return self.tombstones.bury(row, since)

    def nearest(self, queries: NDArray[np.float32], k: int, dead: Bits) -> tuple[NDArray[np.float32], Rows]:
        """The *k* most similar rows that are not in the bitmap *dead*: similarities and rows, (q, at most k).

        The bitmap was copied before this was called: a row that replaced a dead one since is among those compared.
        """
        rows = self._rows
        similarities, found = rows.nearest(queries, min(k, rows.count), dead)
        return np.where(found < 0, np.float32(-np.inf), similarities), found

    def _grow(self, rows: int) -> None:
        size = min(self._most, max(rows, 2 * len(self._ids)))
        ids, larger = np.zeros(size, np.int64), ExactRows(self._rows.vectors.shape[1], size)
        ids[: self._count], larger.vectors[: self._count] = self._ids[: self._count], self.vectors
        larger.count = self._count
        self._ids, self._rows = ids, larger
