"""Which names there are, in 8 bytes each: a number of 64 bits of a name's digest."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable


class Names:
    """A set of names. Of a hundred million names it takes one for another once in three thousand sets."""

    def __init__(self, names: Iterable[str]) -> None:
        self._numbers = array("Q", sorted(array("Q", map(_number, names))))

    def __contains__(self, name: object) -> bool:
        number = _number(str(name))
        at = bisect_left(self._numbers, number)
        return at < len(self._numbers) and self._numbers[at] == number


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
