"""Mutations: files a little or badly other than they were, drawn from a seed."""

import random
from collections.abc import Callable, Sequence

_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63, 2**64 - 1)
_MOST_CHANGES = 8
_LONGEST = 4_000_000


def mutated(corpus: Sequence[bytes], drawn: random.Random) -> bytes:
    """One of *corpus* with up to eight changes; the same for the same state of *drawn*."""
    data = bytearray(drawn.choice(corpus))
    for _ in range(drawn.randint(1, _MOST_CHANGES)):
        if not data:
            return b""
        drawn.choice(_CHANGES)(data, corpus, drawn)
    return bytes(data[:_LONGEST])


def _flip(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    data[_place(data, drawn)] ^= 1 << drawn.randrange(8)


def _number(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    """A number where sizes and offsets are: at the edge of what its width can say."""
    width = drawn.choice((1, 2, 4, 8))
    at = _place(data, drawn)
    value = (drawn.choice(_EDGES) + drawn.randint(-1, 1)) % 256**width
    data[at : at + width] = value.to_bytes(width, drawn.choice(("little", "big")))


def _cut(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    del data[_place(data, drawn) :]


def _drop(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    at = _place(data, drawn)
    del data[at : at + drawn.randint(1, 64)]


def _repeat(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    at = _place(data, drawn)
    data[at:at] = data[at : at + drawn.randint(1, 512)] * drawn.randint(1, 8)


def _noise(data: bytearray, _: Sequence[bytes], drawn: random.Random) -> None:
    at = _place(data, drawn)
    data[at:at] = drawn.randbytes(drawn.randint(1, 64))


def _splice(data: bytearray, corpus: Sequence[bytes], drawn: random.Random) -> None:
    """The beginning of one file, the end of another."""
    other = drawn.choice(corpus)
    data[_place(data, drawn) :] = other[drawn.randrange(len(other) + 1) :]


def _place(data: bytearray, drawn: random.Random) -> int:
    """Half of the time among the first kilobyte, where headers are."""
    return drawn.randrange(min(len(data), 1024) if drawn.random() < 0.5 else len(data))


_CHANGES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip,
    _flip,
    _number,
    _number,
    _cut,
    _drop,
    _repeat,
    _noise,
    _splice,
)
