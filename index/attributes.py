"""Attributes: what people are filtered by, such as their department. Kept by value, which is how they are asked for."""

from collections.abc import Iterable, Mapping

import numpy as np

from index.protocol import Ids


class Attributes:
    """Which persons have which value of which attribute. One thread changes it; others may read meanwhile."""

    def __init__(self) -> None:
        self._of: dict[int, Mapping[str, str]] = {}
        self._persons: dict[tuple[str, str], frozenset[int]] = {}

    def set(self, person: int, attributes: Mapping[str, str]) -> None:
        """Replace the attributes of a person."""
        self.fill([(person, attributes)])

    def fill(self, people: Iterable[tuple[int, Mapping[str, str]]]) -> None:
        """Replace the attributes of many people."""
        persons: dict[tuple[str, str], set[int]] = {}

        def held(pair: tuple[str, str]) -> set[int]:
            if pair not in persons:
                persons[pair] = set(self._persons.get(pair, ()))
            return persons[pair]

        for person, attributes in people:
            for pair in self._of.get(person, {}).items():
                held(pair).discard(person)
            for pair in attributes.items():
                held(pair).add(person)
            if attributes:
                self._of[person] = dict(attributes)
            else:
                self._of.pop(person, None)
        for pair, members in persons.items():
            if members:
                self._persons[pair] = frozenset(members)
            else:
                self._persons.pop(pair, None)

    def matching(self, wanted: Mapping[str, str]) -> Ids:
        """The persons whose attributes have all the *wanted* values, (n,) int64, rising."""
        sets = [self._persons.get(pair, frozenset()) for pair in wanted.items()]
        members = frozenset.intersection(*sets) if sets else frozenset(self._of)
        return np.sort(np.fromiter(members, np.int64, len(members)))

    def everything(self) -> dict[int, Mapping[str, str]]:
        """All attributes, by person."""
        return dict(self._of)
