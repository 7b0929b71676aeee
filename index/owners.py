"""Owners: whose each face is, both ways, for millions of faces.

Sorted arrays of all faces (16 bytes a face), and over them what has changed since in dictionaries, folded in when they
grow. One thread changes them; others may read meanwhile: a change is one assignment into a dictionary, and a fold puts
one new object in the place of the old.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from index.protocol import Ids

NOBODY = 0
"""Person number of a face that belongs to nobody."""

_GONE = -1
_FOLD_AT = 8192

Persons = NDArray[np.int64]
"""(n,) int64 person numbers, :data:`NOBODY` for nobody."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Faces by number, and the same faces by person."""

    faces: Ids
    persons: NDArray[np.int32]
    """Of each of *faces*."""
    by_person: NDArray[np.int32]
    """Places in *faces*, ordered by person."""
    people: NDArray[np.int32]
    """Distinct persons, rising."""
    starts: NDArray[np.int32]
    """Where in *by_person* each of *people* begins; one more at the end."""

    @classmethod
    def of(cls, faces: Ids, persons: Persons) -> "_Sorted":
        order = np.argsort(faces, kind="stable")
        faces, narrow = faces[order], persons[order].astype(np.int32)
        by_person = np.argsort(narrow, kind="stable").astype(np.int32)
        people, starts = np.unique(narrow[by_person], return_index=True)
        return cls(faces, narrow, by_person, people, np.append(starts, len(faces)).astype(np.int32))

    def person_of(self, face: int) -> int:
        place = int(self.faces.searchsorted(face))
        return int(self.persons[place]) if place < len(self.faces) and self.faces[place] == face else _GONE

    def faces_of(self, person: int) -> list[int]:
        place = int(self.people.searchsorted(np.int32(person)))  # A plain int would convert the whole array.
        if place == len(self.people) or self.people[place] != person:
            return []
        found: list[int] = self.faces[self.by_person[self.starts[place] : self.starts[place + 1]]].tolist()
        return found


@dataclass(frozen=True, slots=True)
class _State:
    """The arrays, and what has changed since."""

    base: _Sorted
    person_of: dict[int, int] = field(default_factory=dict)
    """Faces that changed: whose they are now, or gone."""
    faces_of: dict[int, list[int]] = field(default_factory=dict)
    """All faces of persons that changed. A list is replaced, never changed."""


class Owners:
    """Whose each face is. Persons are numbers, :data:`NOBODY` for nobody."""

    def __init__(self, faces: Ids | None = None, persons: Persons | None = None) -> None:
        nothing = np.zeros(0, np.int64)
        self._state = _State(_Sorted.of(nothing if faces is None else faces, nothing if persons is None else persons))

    def __contains__(self, face: int) -> bool:
        return self._person_of(face) != _GONE

    def person_of(self, face: int) -> int:
        """Whose a face is; :data:`NOBODY` for nobody's and for unknown ones."""
        return max(self._person_of(face), NOBODY)

    def faces_of(self, person: int) -> Sequence[int]:
        """The faces of a person, or of nobody."""
        state = self._state
        changed = state.faces_of.get(person)
        return state.base.faces_of(person) if changed is None else changed

    def assign(self, face: int, person: int) -> int | None:
        """Say whose a face is. Returns whose it was: None for a face that was not here."""
        before = self._person_of(face)
        if before == person:
            return before
        state = self._state
        if before != _GONE:
            state.faces_of[before] = [other for other in self.faces_of(before) if other != face]
        state.faces_of[person] = [*self.faces_of(person), face]
        state.person_of[face] = person
        return None if before == _GONE else before

    def forget(self, face: int) -> int | None:
        """Take a face out. Returns whose it was: None for a face that was not here."""
        before = self._person_of(face)
        if before == _GONE:
            return None
        state = self._state
        state.faces_of[before] = [other for other in self.faces_of(before) if other != face]
        state.person_of[face] = _GONE
        return before

    def settle(self) -> None:
        """Fold what has changed into the arrays, once it is much."""
        state = self._state
        if len(state.person_of) > max(_FOLD_AT, len(state.base.faces) // 32):
            self._state = _State(_Sorted.of(*self.everything()))

    def everything(self) -> tuple[Ids, Persons]:
        """All faces and whose they are: (n,) int64 both, in the order of the faces."""
        state = self._state
        changed = np.fromiter(state.person_of, np.int64, len(state.person_of))
        persons = np.fromiter(state.person_of.values(), np.int64, len(state.person_of))
        kept = ~np.isin(state.base.faces, changed)
        there = persons != _GONE
        faces = np.concatenate([state.base.faces[kept], changed[there]])
        owners = np.concatenate([state.base.persons[kept].astype(np.int64), persons[there]])
        order = np.argsort(faces, kind="stable")
        return faces[order], owners[order]

    def by_person(self) -> tuple[Ids, NDArray[np.int32], NDArray[np.int32]]:
        """All faces in the order of their persons; the persons, rising; where each begins, and the end."""
        base = _Sorted.of(*self.everything())
        return base.faces[base.by_person], base.people, base.starts

    @property
    def hot_bytes(self) -> int:
        """What it keeps in memory, roughly."""
        state = self._state
        arrays = (state.base.faces, state.base.persons, state.base.by_person, state.base.people, state.base.starts)
        return sum(array.nbytes for array in arrays) + 200 * len(state.person_of)

    def _person_of(self, face: int) -> int:
        state = self._state
        changed = state.person_of.get(face)
        return state.base.person_of(face) if changed is None else changed
