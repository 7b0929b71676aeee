"""Inflating: a compressed archive as a file that can be read and sought, and never unpacks to more than it may.

Standard library only. ``gzip`` and ``lzma`` would unpack whatever they are asked to pass over, for hours, and take what memory the
archive says; here both have an end.
"""

import io
import lzma
import zlib
from pathlib import Path
from typing import Protocol

from services.errors import PhotoRefused
from services.rejections import Rejection

_CHUNK_BYTES = 64 * 1024
_LZMA_MEMORY_BYTES = 128 * 2**20
"""What ``xz -9`` asks for is half of it."""

_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"


class Bounded(io.RawIOBase):
    """A file of which no single read may ask for more than *at_once* bytes: a header that claims more is no header."""

    def __init__(self, path: Path, at_once: int) -> None:
        super().__init__()
        self._file = path.open("rb")
        self.at_once = at_once

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As any file.

        Raises:
            PhotoRefused: It is asked for too much.
        """
        if size > self.at_once:
            raise claims_too_much()
        data = self._file.read(self.at_once + 1 if size < 0 else size)
        if len(data) > self.at_once:
            raise claims_too_much()
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As any file."""
        return self._file.tell()

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()


class _Decompressor(Protocol):
    """What is alike in ``zlib`` and ``lzma``."""

    @property
    def eof(self) -> bool:
        """Whether its stream has ended; another may follow."""

    @property
    def unused_data(self) -> bytes:
        """What came behind that end."""

    def take(self, data: bytes, most_bytes: int) -> bytes:
        """Unpack *data* and what is left of the data before, no more than that."""

    def is_empty(self) -> bool:
        """Whether it needs data."""


class _Gzip:
    def __init__(self) -> None:
        self._of, self._rest = zlib.decompressobj(wbits=31), b""

    @property
    def eof(self) -> bool:
        return self._of.eof

    @property
    def unused_data(self) -> bytes:
        return self._of.unused_data

    def take(self, data: bytes, most_bytes: int) -> bytes:
        found = self._of.decompress(self._rest + data, most_bytes)
        self._rest = self._of.unconsumed_tail
        return found

    def is_empty(self) -> bool:
        return not self._rest


class _Xz:
    def __init__(self) -> None:
        self._of = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)

    @property
    def eof(self) -> bool:
        return self._of.eof

    @property
    def unused_data(self) -> bytes:
        return self._of.unused_data

    def take(self, data: bytes, most_bytes: int) -> bytes:
        return self._of.decompress(data, most_bytes)

    def is_empty(self) -> bool:
        return self._of.needs_input


class Inflated(io.RawIOBase):
    """What a gzip or xz file unpacks to; to go back, it begins anew.

    Args:
        path: Of the file.
        most_bytes: It ends with a refusal where it goes on beyond that, whether that is read or passed over.
        at_once: As of :class:`Bounded`.
    """

    def __init__(self, path: Path, most_bytes: int, at_once: int) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._kind = _Gzip if self._file.read(len(_GZIP)) == _GZIP else _Xz
        self._most_bytes, self._at_once = most_bytes, at_once
        self._begin()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is, at a price."""
        return True

    def tell(self) -> int:
        """How much was read."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """As any file.

        Raises:
            PhotoRefused: It is asked for too much, unpacks to too much, or is damaged.
        """
        if size > self._at_once:
            raise claims_too_much()
        wanted = self._at_once if size < 0 else size
        pieces, count = [], 0
        while count < wanted and (piece := self._piece(wanted - count)):
            pieces.append(piece)
            count += len(piece)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As any file but from its end, which nobody knows.

        Raises:
            PhotoRefused: As :meth:`read`.
        """
        if whence == io.SEEK_CUR:
            offset += self._place
        elif whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek from the end")
        if offset < self._place:
            self._begin()
        while self._place < offset and self._piece(offset - self._place):
            pass
        return self._place

    def close(self) -> None:
        """Close it."""
        self._file.close()
        super().close()

    def _begin(self) -> None:
        self._file.seek(0)
        self._place, self._unpacked_bytes, self._of = 0, 0, self._kind()
        self._held = memoryview(b"")

    def _piece(self, most_bytes: int) -> bytes:
        """The next bytes of what is unpacked; none at the end."""
        if not self._held:
            self._held = memoryview(self._next())
        piece, self._held = bytes(self._held[:most_bytes]), self._held[most_bytes:]
        self._place += len(piece)
        return piece

    def _next(self) -> bytes:
        """Unpack some more; nothing at the end."""
        of: _Decompressor = self._of
        while True:
            data = b""
            if of.eof:
                data = of.unused_data.lstrip(b"\0") or self._file.read(_CHUNK_BYTES).lstrip(b"\0")
                if not data:
                    return b""
                of = self._of = self._kind()
            elif of.is_empty():
                data = self._file.read(_CHUNK_BYTES)
            is_over = not data and of.is_empty()
            try:
                piece = of.take(data, _CHUNK_BYTES)
            except (zlib.error, lzma.LZMAError) as error:
                detail = f"The archive is damaged: {type(error).__name__} while unpacking."
                raise PhotoRefused(Rejection.BAD_ARCHIVE, detail) from error
            self._unpacked_bytes += len(piece)
            if self._unpacked_bytes > self._most_bytes:
                detail = f"The archive unpacks to more than the {self._most_bytes:,} bytes that it may. Split it."
                raise PhotoRefused(Rejection.BAD_ARCHIVE, detail)
            if piece:
                return piece
            if is_over and not of.eof:
                raise PhotoRefused(Rejection.BAD_ARCHIVE, "The archive is cut short.")


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins so is gzip or xz."""
    return head.startswith((_GZIP, _XZ))


def claims_too_much() -> PhotoRefused:
    """For an archive whose headers are larger than any honest one's."""
    return PhotoRefused(Rejection.BAD_ARCHIVE, "A header of the archive claims more than any honest one has.")
