"""A segment: faces in order of their numbers, immutable, in files that processes share by mapping them.

    NAME.ids        int64, rising
    NAME.vectors    float16, a row for each of them
    NAME.codes      4-bit codes, once the segment is to be scanned by the CPU

All little endian and without a header: what they hold is said by the manifest that names them.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.engine.scan import Scan
from index.engine.tombstones import Rows, Tombstones
from index.protocol import Half, Ids

Keeping = Literal["mapped", "memory"]
"""Where a segment's float16 vectors are: mapped from disk, so that memory holds what is used, or all in memory."""

IDS, VECTORS, CODES = ".ids", ".vectors", ".codes"


class Segment:
    """Rows that never change, and which of them are dead. One writer buries; any number of threads read."""

    def __init__(self, name: str, ids: Ids, vectors: Half, tombstones: Tombstones | None = None) -> None:
        self.name = name
        self.ids = ids
        self.vectors = vectors
        self.tombstones = Tombstones(len(ids)) if tombstones is None else tombstones
        self.scan: Scan | None = None
        """Set once a device has made it ready; until then the segment is compared row by row."""

    @classmethod
    def open(
        cls, folder: Path, name: str, dimension: int, *, keeping: Keeping, dead: NDArray[np.uint8] | None = None
    ) -> "Segment":
        """The segment of that name in *folder*, not yet made ready to be scanned.

        Args:
            folder: Where its files are.
            name: Of the segment.
            dimension: Of its vectors.
            keeping: Where the vectors are kept.
            dead: A bitmap of dead rows, lowest bit first.

        Raises:
            OSError: A file is not there.
            ValueError: A file has not the size that the others ask for.
        """
        ids = np.fromfile(folder / f"{name}{IDS}", "<i8")
        shape = (len(ids), dimension)
        file = folder / f"{name}{VECTORS}"
        if file.stat().st_size != 2 * len(ids) * dimension:
            raise ValueError(f"{file.name} does not hold {len(ids):,} vectors of {dimension}.")
        vectors: Half
        if not len(ids):
            vectors = np.zeros(shape, np.float16)
        elif keeping == "mapped":
            vectors = np.memmap(file, "<f2", "r", shape=shape).view(np.ndarray)
        else:
            vectors = np.fromfile(file, "<f2").reshape(shape)
        return cls(name, ids, vectors, None if dead is None else Tombstones(len(ids), dead))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def alive(self) -> int:
        """How many rows are not dead."""
        return len(self.ids) - self.tombstones.count

    def rows_of(self, ids: Ids) -> Rows:
        """The rows of faces that are alive here, -1 for the others, as (n,) int64."""
        rows = np.searchsorted(self.ids, ids)
        rows[rows == len(self.ids)] = 0
        found = (self.ids[rows] == ids) & ~self.tombstones.are_dead(rows)
        return np.where(found, rows, -1)

    def bury(self, row: int, since: int = 0) -> bool:
        """Mark a row dead, which no earlier log entry than *since* removed; False: it was."""
        return self.tombstones.bury(row, since)
