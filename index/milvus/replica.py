"""A replica whose vectors are in Milvus, where one searcher at a time writes them and all search them.

Whose each face is and what people are filtered by stays in memory, here as everywhere. The searcher with the lease, the
*writer*, applies log entries to Milvus and then writes the mark (:mod:`index.milvus.marks`). The others follow the mark:
they read the log up to it, for owners and attributes only.

Owners are read from the catalog as of its head, vectors are in Milvus as of the mark: what lies between is replayed,
which is harmless for vectors. A template is another matter: whose face a removed or moved one *was* is not to be known
any more. So each template has a tag that says of which faces it was made, and who begins to write compares all of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from index.attributes import Attributes
from index.milvus.index import MilvusIndex
from index.milvus.marks import Mark, Marks
from index.milvus.server import Server
from index.milvus.tags import tag, tags
from index.owners import NOBODY, Owners, Persons
from index.protocol import Entry, Half, Ids
from index.replica import Replica
from index.templates import template
from services.errors import IndexBehind

_AT_ONCE = 512
"""Persons whose templates are made together."""


class MilvusReplica(Replica):
    """A collection as of one sequence number. One thread moves it; others search meanwhile.

    Args:
        server: Where its vectors are.
        marks: How far they have come.
        key: Names the collection and its generation among the marks.
        name: Of its two Milvus collections, without their endings.
        epoch, edition: Of this filling.
        dimension: Of the vectors.
        has_lease: Whether this searcher is the writer. Asked before each change.
    """

    def __init__(
        self,
        server: Server,
        marks: Marks,
        *,
        key: str,
        name: str,
        epoch: str,
        edition: str,
        dimension: int,
        has_lease: Callable[[], bool],
    ) -> None:
        faces = MilvusIndex(server, f"{name}_faces", dimension, writes=self._writes)
        templates = MilvusIndex(server, f"{name}_people", dimension, writes=self._writes, tagged=self._tags)
        super().__init__(faces, templates, epoch=epoch)
        self.edition = edition
        self._server, self._marks, self._key = server, marks, key
        self._has_lease = has_lease
        self._is_writer = False
        self._is_compared = True
        """Whether the templates were compared with the owners since this replica began to write."""
        self._stale: set[int] = set()
        """Persons whose templates are still to be made, also after Milvus was away half-way."""
        self._marked = -1

    @property
    def is_outdated(self) -> bool:
        """Whether another filling has taken the place of this one, or this searcher has become the writer or ceased to be."""
        mark = self._marks.of(self._key)
        replaced = mark is None or (mark.epoch, mark.edition) != (self.epoch, self.edition)
        return replaced or self._is_writer != self._has_lease()

    def reach(self, head: int) -> int:
        """How far it can be moved now towards *head*: the writer all the way, others as far as the mark.

        Raises:
            IndexUnavailable: Milvus does not answer.
        """
        if not self._is_writer and self._has_lease():
            self._is_writer, self._is_compared = True, False
        if self._is_writer:
            self._finish()
            return head
        mark = self._marks.of(self._key)
        return min(head, mark.sequence) if mark is not None else self._sequence

    def begin(self, dimension: int) -> None:
        """Make the two Milvus collections, which nothing refers to until they are filled.

        Raises:
            IndexBehind: Another searcher is the writer, and has not finished yet.
            IndexUnavailable: Milvus does not answer.
        """
        if not self._has_lease():
            raise IndexBehind("Another searcher is filling Milvus with this collection. Try again in a moment.")
        self._is_writer = True
        self._marks.filling.add(self.edition)
        for index in (self.faces, self.templates):
            assert isinstance(index, MilvusIndex)
            self._server.create(index.name, dimension)

    def fill(
        self,
        blocks: Iterable[tuple[Ids, Persons, Half]],
        attributes: Iterable[tuple[int, Mapping[str, str]]],
        *,
        sequence: int,
    ) -> None:
        """Take everything in as rows of the catalog; see :meth:`index.replica.Replica.fill`. Whole once it is marked.

        Raises:
            IndexBehind, IndexUnavailable: It is not whole, and nothing will ever refer to it.
        """
        try:
            super().fill(blocks, attributes, sequence=sequence)
            self._mark()
        finally:
            self._marks.filling.discard(self.edition)

    def restored(self, owners: Owners, attributes: Attributes, *, sequence: int) -> None:
        """Take over owners and attributes from the catalog, and what Milvus has, as of *sequence*."""
        super().restored(owners, attributes, sequence=sequence)
        self.faces.advance(sequence)
        self.templates.advance(sequence)
        self._marked = sequence

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply log entries; see :meth:`index.replica.Replica.apply`. Whatever ends it, it can be done again.

        Raises:
            IndexBehind, IndexUnavailable: Some of it may be done.
        """
        changed = {entry.face for entry in entries if entry.operation in {"add", "assign", "remove"}}
        self._stale |= {self.owners.person_of(face) for face in changed} - {NOBODY}
        self._stale |= {entry.person for entry in entries if entry.face in changed and entry.person is not None}
        super().apply(entries)
        self.templates.advance(self._sequence)
        self._finish()

    def settle(self) -> bool:
        """Fold what has grown, and catch up with what Milvus was away for."""
        super().settle()
        if self._is_writer:
            self._finish()
        return self._is_writer and self._marked != self._sequence

    def _finish(self) -> None:
        """Compare the templates where that is due, then say how far everything has come."""
        if not self._is_writer:
            return
        if not self._is_compared:
            self._stale |= self._differing()
            self._is_compared = True
        if self._stale:
            self._renew(set(), self._sequence)
        if self._marked != self._sequence:
            self._mark()

    def _mark(self) -> None:
        if self._writes():
            self._marks.write(self._key, Mark(self.epoch, self.edition, self._sequence))
            self._marked = self._sequence

    def _renew(self, persons: set[int], sequence: int) -> None:
        """Compute templates anew, of the vectors that are there: one that is still to come brings another template."""
        self._stale |= persons
        self.attributes.fill((person, {}) for person in persons if not self.owners.faces_of(person))
        if not self._is_writer:
            self._stale.clear()
        else:
            for start in range(0, len(stale := sorted(self._stale)), _AT_ONCE):
                self._make(stale[start : start + _AT_ONCE], sequence)
            self._stale.clear()
        self.faces.advance(sequence)

    def _make(self, persons: Sequence[int], sequence: int) -> None:
        faces = [self.owners.faces_of(person) for person in persons]
        vectors = self.faces.vectors([face for each in faces for face in each])
        there, made, gone, start = [], [], [], 0
        for person, each in zip(persons, faces, strict=True):
            mine = vectors[start : start + len(each)]
            start += len(each)
            mine = mine[mine.any(1)]
            if len(mine):
                there.append(person)
                made.append(template(mine))
            else:
                gone.append(person)
        if there:
            self.templates.add(there, np.stack(made), sequence=sequence)
        self.templates.remove(gone, sequence=sequence)

    def _differing(self) -> set[int]:
        """The persons whose template in Milvus is missing, made of other faces, or nobody's any more."""
        assert isinstance(self.templates, MilvusIndex)
        faces, people, starts = self.owners.by_person()
        first = int(np.searchsorted(people, NOBODY, "right"))
        people, expected = people[first:], tags(faces, starts[first:])
        differing: set[int] = set()
        is_there = np.zeros(len(people), np.bool_)
        for persons, held in self._server.tags(self.templates.name):
            place = np.minimum(np.searchsorted(people, persons), max(0, len(people) - 1))
            known = people[place] == persons if len(people) else np.zeros(len(persons), np.bool_)
            same = known.copy()
            same[known] = expected[place[known]] == held[known]
            is_there[place[known]] = True
            differing |= set(persons[~same].tolist())
        return differing | set(people[~is_there].tolist())

    def _tags(self, persons: Ids) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
        return np.array([tag(self.owners.faces_of(person)) for person in persons.tolist()], np.int64)

    def _writes(self) -> bool:
        """Whether changes go to Milvus.

        Raises:
            IndexBehind: They did, and the lease is another searcher's now.
        """
        if self._is_writer and not self._has_lease():
            raise IndexBehind("Another searcher writes to Milvus now; this one will follow it.")
        return self._is_writer
