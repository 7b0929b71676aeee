"""Bytes and names on their way: read like a file, in batches, or kept in a file so that memory does not grow with them."""

import gzip
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO, TypeVar

from services.catalog.dumps.dumping import Named

_T = TypeVar("_T")


class Flow(io.RawIOBase):
    """What an iterator of bytes gives, read like a file."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces, self._held = iter(pieces), b""

    def readable(self) -> bool:
        """It is read from."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        """Fill *buffer*, or as much of it as comes at once."""
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = piece
        size = min(len(buffer), len(self._held))
        buffer[:size], self._held = self._held[:size], self._held[size:]
        return size


def batches(found: Iterator[_T], size: int) -> Iterator[list[_T]]:
    """What *found* gives, so many at a time."""
    while some := list(islice(found, size)):
        yield some


def note(file: BinaryIO, names: Iterable[Named]) -> int:
    """Keep names in *file*, and go back to its beginning. Returns how many they are."""
    count = 0
    with gzip.open(file, "wb", compresslevel=1) as held:
        for count, named in enumerate(names, 1):  # noqa: B007 - the last number counts
            held.write(json.dumps(named).encode() + b"\n")
    file.seek(0)
    return count


def noted(file: BinaryIO) -> Iterator[Named]:
    """The names that :func:`note` has kept."""
    with gzip.open(file, "rb") as held:
        for line in held:
            yield Named(*json.loads(line))
