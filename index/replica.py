"""A replica: one collection in one generation as a searcher holds it: faces, whose each is, and everybody's template."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from index.attributes import Attributes
from index.halves import comparable, widened
from index.owners import NOBODY, Owners, Persons
from index.protocol import Entry, Half, Ids, VectorIndex
from index.templates import all_templates, template


class Replica:
    """A collection as of one sequence number of its log. One thread applies entries; others search meanwhile."""

    def __init__(self, faces: VectorIndex, templates: VectorIndex, *, epoch: str) -> None:
        self.epoch = epoch
        self.faces = faces
        self.templates = templates
        self.owners = Owners()
        self.attributes = Attributes()
        self.refused = 0
        """Embeddings that cannot be compared (not finite, not of norm 1, of another length) and were passed over."""
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""
        return self._sequence

    @property
    def cleansed(self) -> int:
        """The last log entry up to which nothing that was removed is left in the files of its indexes."""
        return min(self._sequence, self.faces.cleansed, self.templates.cleansed)

    def hasten(self, sequence: int) -> None:
        """Have :meth:`settle` see to it that nothing removed up to log entry *sequence* is left in files."""
        self.faces.hasten(sequence)
        self.templates.hasten(sequence)

    @property
    def is_outdated(self) -> bool:
        """Whether what it stands on was replaced by somebody else, so that it must be made anew."""
        return False

    def reach(self, head: int) -> int:
        """How far it can be moved now towards *head*; less where another process has to go first."""
        return head

    def __len__(self) -> int:
        return len(self.faces)

    def fill(
        self,
        blocks: Iterable[tuple[Ids, Persons, Half]],
        attributes: Iterable[tuple[int, Mapping[str, str]]],
        *,
        sequence: int,
    ) -> None:
        """Take everything in as rows of the catalog, before the log is replayed from *sequence*.

        Args:
            blocks: Faces (n,) int64, rising from block to block; their persons (n,) int64; vectors (n, d) float16.
            attributes: Of people who have any.
            sequence: A log entry no younger than the rows.
        """
        numbers, persons = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]

        def faces() -> Iterable[tuple[Ids, Half]]:
            for block, owners, vectors in blocks:
                if vectors.shape[1] != self.faces.dimension:
                    self.refused += len(block)
                    continue
                good = comparable(vectors)
                self.refused += len(block) - int(good.sum())
                numbers.append(block[good])
                persons.append(owners[good])
                yield block[good], vectors[good]

        self.faces.fill(faces(), sequence=sequence)
        self.owners = Owners(np.concatenate(numbers), np.concatenate(persons))
        self.templates.fill(all_templates(self.owners, self.faces), sequence=sequence)
        self.attributes.fill(attributes)
        self._sequence = sequence

    def restored(self, owners: Owners, attributes: Attributes, *, sequence: int) -> None:
        """Take over what a snapshot has beside the vectors."""
        self.owners, self.attributes, self._sequence = owners, attributes, sequence

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply log entries in order, one or more. Idempotent; the last entry of a face wins.

        An ``add`` writes the face's vector; an ``assign`` only where the face is not here, so a change of whose a face
        is touches no vector.
        """
        last = entries[-1].sequence
        faces = {entry.face: entry for entry in entries if entry.operation in {"add", "assign", "remove"}}
        written = {entry.face for entry in entries if entry.operation == "add"}
        with_vectors = [entry for entry in faces.values() if entry.operation != "remove" and entry.vector is not None]
        refused = self._refused(with_vectors)
        there = [entry for entry in with_vectors if entry.face not in refused]
        added = [entry for entry in there if entry.face in written or entry.face not in self.owners]
        if added:
            vectors = widened(np.stack([entry.vector for entry in added if entry.vector is not None]))
            self.faces.add([entry.face for entry in added], vectors, sequence=last)
        touched = {self.owners.person_of(entry.face) for entry in added}
        for entry in there:
            person = entry.person or NOBODY
            was = self.owners.assign(entry.face, person)
            if was != person:
                touched |= {person} if was is None else {was, person}
        removed = [face for face, entry in faces.items() if entry.operation == "remove"]
        touched |= {was for face in removed if (was := self.owners.forget(face)) is not None}
        self.faces.remove(removed, sequence=last)
        self._renew(touched - {NOBODY}, last)
        told = {entry.person: entry.attributes or {} for entry in entries if entry.person is not None}
        self.attributes.fill((person, held if self.owners.faces_of(person) else {}) for person, held in told.items())
        self._sequence = last

    def _refused(self, entries: Sequence[Entry]) -> set[int]:
        """The faces of those entries whose vectors cannot be compared; they are counted."""
        dimension = self.faces.dimension
        refused = {entry.face for entry in entries if entry.vector is None or entry.vector.shape != (dimension,)}
        whole = [entry for entry in entries if entry.face not in refused]
        if whole:
            good = comparable(np.stack([entry.vector for entry in whole if entry.vector is not None]))
            refused |= {entry.face for entry, is_good in zip(whole, good.tolist(), strict=True) if not is_good}
        self.refused += len(refused)
        return refused

    def settle(self) -> bool:
        """What lies between changes: sealing, compaction, folding. Called by the writer every now and then.

        Returns:
            Whether something is under way, so that it is worth calling again soon.
        """
        busy = [self.faces.settle(), self.templates.settle()]
        self.owners.settle()
        return any(busy)

    def files(self) -> set[str]:
        """Names of the files that its indexes use."""
        return self.faces.files() | self.templates.files()

    @property
    def trouble(self) -> str:
        """What does not work at the moment though searches are answered; empty where nothing is wrong."""
        return self.faces.trouble or self.templates.trouble

    @property
    def hot_bytes(self) -> int:
        """What it keeps in memory, roughly."""
        return self.faces.hot_bytes + self.templates.hot_bytes + self.owners.hot_bytes

    def _renew(self, persons: set[int], sequence: int) -> None:
        """Compute the templates of *persons* anew."""
        gone, there, made = [], [], []
        for person in sorted(persons):
            faces = self.owners.faces_of(person)
            if faces:
                there.append(person)
                made.append(template(self.faces.vectors(faces)))
            else:
                gone.append(person)
        if there:
            self.templates.add(there, np.stack(made), sequence=sequence)
        self.templates.remove(gone, sequence=sequence)
        self.attributes.fill((person, {}) for person in gone)
        self.faces.advance(sequence)
