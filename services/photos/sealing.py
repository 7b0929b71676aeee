"""Sealing: bytes made unreadable and unchangeable for everybody without their key, piece by piece (AES-256-GCM).

The STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance", 2015), as the file format age has it::

    "colega", 0, version 1, salt of 16 bytes        the header
    pieces of 65,536 bytes, the last of fewer       each sealed by itself, with a tag of 16 bytes

A sealed object has a key of its own, made by HKDF-SHA256 of the given key and the salt; a piece's nonce is its number and
whether it is the last one, and what it is authenticated with is the header and the object's name. So pieces that are changed,
exchanged, left out or cut off, and objects that stand in for another, do not open. Nothing of a piece is handed on before all
of it is known to be right. Pure: no key is kept, and nothing is read or written but what is handed in.
"""

import io
import os
from collections.abc import Iterable, Iterator
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.errors import DamagedObject

KEY_BYTES = 32
MAGIC = b"colega\x00\x01"
"""What every sealed object begins with, and no picture, archive or JSON does."""
PIECE_BYTES = 64 * 1024

_SALT_BYTES, _TAG_BYTES = 16, 16
_HEADER_BYTES = len(MAGIC) + _SALT_BYTES
_MOST_PIECES = 1 << 32
_INFO = b"colega sealed object"


class Readable(Protocol):
    """What bytes can be read from: a file, or what comes in."""

    def read(self, size: int = -1, /) -> bytes:
        """At most *size* bytes; none at the end."""


def new_key() -> bytes:
    """A key for objects: 256 random bits."""
    return os.urandom(KEY_BYTES)


def seal(data: bytes, key: bytes, name: str) -> bytes:
    """*data* sealed with *key* as the object *name*."""
    return b"".join(seal_stream(io.BytesIO(data), key, name))


def seal_stream(plain: Readable, key: bytes, name: str, *, salt: bytes | None = None) -> Iterator[bytes]:
    """What *plain* gives, sealed: the header, then a piece at a time. *salt* is given by tests alone."""
    header = MAGIC + (os.urandom(_SALT_BYTES) if salt is None else salt)
    cipher, bound = AESGCM(_own_key(key, header)), header + name.encode()
    yield header
    number, piece = 0, _filled(plain)
    while True:
        following = _filled(plain) if len(piece) == PIECE_BYTES else b""
        yield cipher.encrypt(_nonce(number, last=not following), piece, bound)
        if not following:
            return
        number, piece = number + 1, following


def open_sealed(data: bytes, key: bytes, name: str) -> bytes:
    """The bytes that were sealed as the object *name*.

    Raises:
        DamagedObject: They are not as they were sealed, or not with this key or under this name.
    """
    return b"".join(open_stream(in_pieces(data), key, name))


def open_stream(sealed: Iterable[bytes], key: bytes, name: str) -> Iterator[bytes]:
    """The bytes that were sealed as the object *name*, piece by piece; each is known to be right, all only at the end.

    Raises:
        DamagedObject: They are not as they were sealed, or not with this key or under this name.
    """
    coming = Coming(iter(sealed))
    header = coming.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not is_sealed(header):
        raise DamagedObject(name)
    cipher, bound = AESGCM(_own_key(key, header)), header + name.encode()
    number, piece = 0, coming.read(PIECE_BYTES + _TAG_BYTES)
    while True:
        following = coming.read(PIECE_BYTES + _TAG_BYTES)
        try:
            opened = cipher.decrypt(_nonce(number, last=not following), piece, bound)
        except (InvalidTag, ValueError):
            raise DamagedObject(name) from None
        if opened:
            yield opened
        if not following:
            return
        number, piece = number + 1, following


def in_pieces(data: bytes) -> Iterator[bytes]:
    """*data*, sealed or not, in pieces as they are sealed, the header first: none of it is copied twice."""
    yield data[:_HEADER_BYTES]
    size = PIECE_BYTES + _TAG_BYTES
    yield from (data[start : start + size] for start in range(_HEADER_BYTES, len(data), size))


def is_sealed(data: bytes) -> bool:
    """Whether *data*, the beginning of an object, says that it is sealed."""
    return data.startswith(MAGIC)


def sealed_size(plain_bytes: int) -> int:
    """How many bytes so many are once they are sealed."""
    return _HEADER_BYTES + plain_bytes + _TAG_BYTES * max(1, -(-plain_bytes // PIECE_BYTES))


def plain_size(sealed_bytes: int) -> int | None:
    """How many bytes are in so many sealed ones; None: so many is no sealed object."""
    rest = sealed_bytes - _HEADER_BYTES
    plain = rest - _TAG_BYTES * max(1, -(-rest // (PIECE_BYTES + _TAG_BYTES)))
    return plain if plain >= 0 and sealed_size(plain) == sealed_bytes else None


class Sealed:
    """A stream of what *plain* gives, sealed as *name*: for whoever reads what is to be sent."""

    def __init__(self, plain: Readable, key: bytes, name: str) -> None:
        self._coming = Coming(seal_stream(plain, key, name))

    def read(self, size: int = -1, /) -> bytes:
        """Exactly *size* bytes, fewer only at the end; all that is left where it is negative."""
        return self._coming.read(size)


class Coming:
    """Bytes that come in pieces of any size, read in others."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, bytearray()

    def read(self, size: int = -1, /) -> bytes:
        """Exactly *size* bytes, fewer only at the end; all that is left where it is negative."""
        while size < 0 or len(self._held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                size = len(self._held)
                break
            self._held += piece
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken


def _filled(plain: Readable) -> bytes:
    """A whole piece, or what is left: streams may give less than they are asked for."""
    piece = plain.read(PIECE_BYTES)
    if not piece or len(piece) == PIECE_BYTES:
        return piece
    parts, wanted = [piece], PIECE_BYTES - len(piece)
    while wanted and (more := plain.read(wanted)):
        parts.append(more)
        wanted -= len(more)
    return b"".join(parts)


def _own_key(key: bytes, header: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=header[len(MAGIC) :], info=_INFO).derive(key)


def _nonce(number: int, *, last: bool) -> bytes:
    if number >= _MOST_PIECES:
        raise OverflowError("An object of more than 256 TiB is not sealed.")
    return number.to_bytes(11) + bytes([last])
