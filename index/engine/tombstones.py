"""Tombstones: which rows of a part are dead. A bitmap that searches copy when they begin."""

import time

import faiss
import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
"""(n,) int64 row numbers of one part."""

Bits = NDArray[np.uint8]
"""A bitmap of rows, lowest bit first."""


class Tombstones:
    """The dead among *rows*. One writer, any number of readers.

    Args:
        rows: How many there are.
        bits: Those that are dead from the start on.
        since: The log entry of which the first of these were removed, or an earlier one.
    """

    def __init__(self, rows: int, bits: Bits | None = None, *, since: int = 0) -> None:
        self.bits: Bits = np.zeros((rows + 7) // 8, np.uint8) if bits is None else bits.copy()
        self.count = 0 if bits is None else int(np.unpackbits(bits, count=rows, bitorder="little").sum())
        self.first_at: float | None = time.monotonic() if self.count else None
        """When the first was buried, by the monotonic clock."""
        self.since: int | None = since if self.count else None
        """No row that is dead here was removed by an earlier log entry than this; None: none is dead."""
        self._copy: tuple[int, Bits] = -1, self.bits

    def bury(self, row: int, since: int = 0) -> bool:
        """Mark a row dead, which no earlier log entry than *since* removed. False: it was dead already."""
        bit = 1 << (row & 7)
        if self.bits[row >> 3] & bit:
            return False
        self.bits[row >> 3] |= bit
        self.count += 1
        self.first_at = self.first_at or time.monotonic()
        self.since = since if self.since is None else min(self.since, since)
        return True

    def copied(self) -> Bits:
        """The bitmap as it is now, not to be written to; the same array until another row is buried."""
        count = self.count  # Before the bits: a copy may know more than its number says, never less.
        copy = self._copy
        if copy[0] != count:
            copy = self._copy = count, self.bits.copy()
        return copy[1]

    def are_dead(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of *rows* are dead."""
        dead: NDArray[np.bool_] = (self.bits[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(bool)
        return dead


def all_but(bits: Bits) -> "faiss.IDSelector":
    """A selector of the rows that are not in a bitmap. It keeps the bitmap."""
    passed = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg,arg-type] # FAISS's wrapper takes the array.
    return faiss.IDSelectorNot(passed)
