"""Sealed objects: what they open to, what they refuse, and that their form stays what it is."""

import io
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.errors import DamagedObject
from services.photos import sealing
from services.photos.sealing import MAGIC, PIECE_BYTES

KEY = bytes(range(32))
NAME = "photos/1/pho_0123456789abcdef01234567"
SALT = bytes(range(16))
SIZES = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 5]
HEADER, SEALED_PIECE = 24, PIECE_BYTES + 16


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_opens_to_the_same_bytes(size: int) -> None:
    data = os.urandom(size)

    sealed = sealing.seal(data, KEY, NAME)

    assert sealing.open_sealed(sealed, KEY, NAME) == data
    assert len(sealed) == sealing.sealed_size(size)
    assert sealing.plain_size(len(sealed)) == size


@given(st.binary(max_size=400), st.integers(1, 97), st.binary(min_size=32, max_size=32), st.text(max_size=40))
@example(b"", 1, KEY, "")
def test_pieces_may_arrive_in_any_size(data: bytes, size: int, key: bytes, name: str) -> None:
    sealed = b"".join(sealing.seal_stream(io.BytesIO(data), key, name))

    assert b"".join(sealing.open_stream(pieces_of(sealed, size), key, name)) == data


@given(st.integers(0, 1 << 45))
def test_the_size_of_the_plain_follows_from_that_of_the_sealed(size: int) -> None:
    assert sealing.plain_size(sealing.sealed_size(size)) == size


def test_sizes_that_no_sealed_object_has_are_known() -> None:
    there = {sealing.sealed_size(size) for size in range(PIECE_BYTES + 100)}

    assert all(sealing.plain_size(size) is None for size in range(PIECE_BYTES + 40) if size not in there)


def test_the_form_is_what_it_was() -> None:
    """Computed once, by other code that follows the description: whoever changes the form gives it another version."""
    data = bytes(i % 251 for i in range(PIECE_BYTES + 3))
    sealed = b"".join(sealing.seal_stream(io.BytesIO(data), KEY, NAME, salt=SALT))

    assert sealed[:HEADER] == b"colega\x00\x01" + SALT
    assert sealed == by_the_description(data)
    small = b"".join(sealing.seal_stream(io.BytesIO(b"a face"), KEY, NAME, salt=SALT))
    assert small.hex() == KNOWN


KNOWN = "636f6c6567610001000102030405060708090a0b0c0d0e0f7eea0e83652c1342cc05f314070082d4b78a66e7c4b9"


def by_the_description(data: bytes) -> bytes:
    """The same with the primitives alone: HKDF by HMAC, and AES-GCM a piece."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    extracted = hmac.digest(SALT, KEY, hashlib.sha256)
    own = hmac.digest(extracted, b"colega sealed object\x01", hashlib.sha256)
    header = b"colega\x00\x01" + SALT
    pieces = pieces_of(data, 65536)
    return header + b"".join(
        AESGCM(own).encrypt(n.to_bytes(11, "big") + bytes([n == len(pieces) - 1]), piece, header + NAME.encode())
        for n, piece in enumerate(pieces)
    )


def opened(sealed: bytes, key: bytes = KEY, name: str = NAME) -> bytes:
    """As much as is handed on."""
    found = bytearray()
    with pytest.raises(DamagedObject, match=name):
        for piece in sealing.open_stream([sealed], key, name):
            found += piece
    return bytes(found)


DATA = bytes(i % 251 for i in range(2 * PIECE_BYTES + 1000))


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return sealing.seal(DATA, KEY, NAME)


@pytest.mark.parametrize(
    "at", [0, 7, 8, 23, 24, 100, HEADER + SEALED_PIECE - 1, HEADER + SEALED_PIECE, HEADER + 2 * SEALED_PIECE + 5, -1]
)
def test_a_changed_byte_is_found_before_its_piece_is_handed_on(sealed: bytes, at: int) -> None:
    other = bytearray(sealed)
    other[at] ^= 0x40

    handed_on = opened(bytes(other))

    assert handed_on == DATA[: len(handed_on)]
    assert len(handed_on) <= max(0, (at % len(sealed)) - HEADER) // SEALED_PIECE * PIECE_BYTES


@pytest.mark.parametrize(
    "length", [0, 5, 23, 24, 30, HEADER + SEALED_PIECE, HEADER + 2 * SEALED_PIECE, HEADER + 2 * SEALED_PIECE + 7]
)
def test_what_is_cut_short_does_not_open(sealed: bytes, length: int) -> None:
    handed_on = opened(sealed[:length])

    assert handed_on == DATA[: len(handed_on)]


def test_what_is_longer_does_not_open(sealed: bytes) -> None:
    for more in (b"\0", sealed[-1016:], sealed[HEADER:]):
        opened(sealed + more)


def test_pieces_in_another_order_do_not_open(sealed: bytes) -> None:
    first, second = (sealed[HEADER + n * SEALED_PIECE : HEADER + (n + 1) * SEALED_PIECE] for n in (0, 1))

    opened(sealed[:HEADER] + second + first + sealed[HEADER + 2 * SEALED_PIECE :])
    opened(sealed[:HEADER] + sealed[HEADER + SEALED_PIECE :])


def test_a_piece_of_another_object_with_the_same_key_does_not_fit(sealed: bytes) -> None:
    again = sealing.seal(DATA, KEY, NAME)

    assert opened(sealed[: HEADER + SEALED_PIECE] + again[HEADER + SEALED_PIECE :]) == DATA[:PIECE_BYTES]


def test_an_object_cannot_stand_in_for_another(sealed: bytes) -> None:
    assert opened(sealed, name="photos/1/pho_other") == b""


def test_another_key_opens_nothing(sealed: bytes) -> None:
    assert opened(sealed, key=bytes(32)) == b""


def test_the_same_bytes_are_never_sealed_the_same() -> None:
    assert sealing.seal(DATA, KEY, NAME) != sealing.seal(DATA, KEY, NAME)


def test_nothing_of_the_plain_is_in_the_sealed(sealed: bytes) -> None:
    assert not any(DATA[start : start + 16] in sealed for start in range(0, len(DATA) - 16, 997))


class Trickling(io.BytesIO):
    """A stream that gives a few bytes at a time, as sockets do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or -1, 1000) if size is not None and size >= 0 else 1000)


def test_a_stream_is_read_while_it_is_sealed() -> None:
    sealed = sealing.Sealed(Trickling(DATA), KEY, NAME)

    parts = [sealed.read(10_000) for _ in range(2)]
    rest = sealed.read()

    assert [len(part) for part in parts] == [10_000, 10_000]
    assert sealing.open_sealed(b"".join([*parts, rest]), KEY, NAME) == DATA


def test_what_people_send_never_looks_sealed() -> None:
    heads = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"\0\0\0\x18ftyp", b"PK\x03\x04", b"{")

    assert not any(sealing.is_sealed(head + bytes(20)) for head in heads)
    assert sealing.is_sealed(MAGIC)
