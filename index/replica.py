"""A replica: one collection under one model as a searcher holds it: vectors, and whose each face is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.exact import ExactIndex
from index.protocol import Entry, Ids, VectorIndex, Vectors

NOBODY = 0
"""Person number of a face that belongs to nobody."""


class Replica:
    """Vectors, persons and where in the log they come from. One writer; the searcher reads in the same thread."""

    def __init__(self, dimension: int, *, epoch: str, index: VectorIndex | None = None) -> None:
        self.epoch = epoch
        self.index: VectorIndex = ExactIndex(dimension) if index is None else index
        self._person_of: dict[int, int] = {}
        self._faces_of: dict[int, list[int]] = {}
        self._spread: dict[int, float] = {}
        self._changed: set[int] = set()
        self._widest: tuple[int, list[int], float] | None = None
        """What :meth:`widest` answered, until a person changes."""

    @property
    def sequence(self) -> int:
        """The last log entry that is applied."""
        return self.index.sequence

    def __len__(self) -> int:
        return len(self.index)

    def person_of(self, face: int) -> int:
        """Whose a face is; ``NOBODY`` for nobody's and unknown ones."""
        return self._person_of.get(face, NOBODY)

    def faces_of(self, person: int) -> Sequence[int]:
        """The faces of a person."""
        return self._faces_of.get(person, ())

    def load(self, faces: Ids, persons: NDArray[np.int64], vectors: Vectors, *, sequence: int) -> None:
        """Take faces in as rows of the catalog, before the log is replayed from *sequence*.

        Args:
            faces: (n,) int64, distinct and not here yet.
            persons: (n,) int64, ``NOBODY`` for nobody.
            vectors: (n, d) float32 of norm 1.
            sequence: A log entry no younger than the rows.
        """
        self.index.add(faces, vectors, sequence=sequence)
        for face, person in zip(faces.tolist(), persons.tolist(), strict=True):
            self._assign(face, person)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply log entries in order. Idempotent; the last entry of a face wins.

        Raises:
            DimensionMismatch, InvalidVector: A vector is not of this model; entries before it are applied.
        """
        run: dict[int, Entry] = {}
        for entry in entries:
            if entry.operation != "remove" and entry.vector is not None:
                run[entry.face] = entry
                continue
            self._flush(run)
            if entry.operation == "remove":
                self._forget(entry)
            else:  # Its embedding was erased since: a no-op that advances the number.
                self.index.advance(entry.sequence)
        self._flush(run)

    def spread(self, person: int) -> float:
        """The norm of the mean of a person's vectors, in (0, 1]: 1 for one face, less the more their faces differ."""
        self._settle()
        return self._spread.get(person, 1.0)

    def widest(self, count: int) -> tuple[list[int], float]:
        """The *count* persons of the smallest spread, and the smallest spread among the others."""
        self._settle()
        if self._widest is None or self._widest[0] != count:
            ordered = sorted(self._spread, key=self._spread.__getitem__)
            self._widest = (count, ordered[:count], self._spread[ordered[count]] if len(ordered) > count else 1.0)
        return self._widest[1], self._widest[2]

    def _flush(self, run: dict[int, Entry]) -> None:
        """Apply *run*, adds and assigns of distinct faces, as one: vectors of faces that are here stay as they are."""
        if not run:
            return
        last = max(entry.sequence for entry in run.values())
        new = [e for e in run.values() if e.face not in self._person_of and e.vector is not None]
        if new:
            vectors = np.stack([e.vector for e in new if e.vector is not None]).astype(np.float32)
            self.index.add([e.face for e in new], vectors, sequence=last)
        self.index.advance(last)
        for entry in run.values():
            self._assign(entry.face, entry.person or NOBODY)
        run.clear()

    def _forget(self, entry: Entry) -> None:
        self.index.remove([entry.face], sequence=entry.sequence)
        self._leave(entry.face)

    def _assign(self, face: int, person: int) -> None:
        if self._person_of.get(face) == person:
            return
        self._leave(face)
        self._person_of[face] = person
        if person != NOBODY:
            self._faces_of.setdefault(person, []).append(face)
            self._touch(person)

    def _leave(self, face: int) -> None:
        person = self._person_of.pop(face, NOBODY)
        if person == NOBODY:
            return
        faces = self._faces_of[person]
        faces.remove(face)
        if not faces:
            del self._faces_of[person]
        self._touch(person)

    def _touch(self, person: int) -> None:
        self._changed.add(person)

    def _settle(self) -> None:
        if self._changed:
            self._widest = None
        for person in self._changed:
            faces = self._faces_of.get(person, ())
            if len(faces) < 2:
                self._spread.pop(person, None)
            else:
                self._spread[person] = float(np.linalg.norm(self.index.vectors(faces).mean(0)))
        self._changed.clear()
