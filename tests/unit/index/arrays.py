"""Vectors, a log and a shelf for the tests of the index."""

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.protocol import Entry, Head, Ids, Vectors

D = 16


def unit_vectors(count: int, seed: int = 0, dimension: int = D) -> Vectors:
    """Random directions, as float16 can say them."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


def around(centre: Vectors, count: int, spread: float, seed: int) -> Vectors:
    """*count* directions near *centre*."""
    noise = np.random.default_rng(seed).normal(size=(count, len(centre))) * spread
    vectors = np.asarray(centre + noise, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


class WrittenLog:
    """A collection's log in memory: the same promises as the catalog's, kept in a dictionary."""

    def __init__(self) -> None:
        self.epoch, self.sequence, self.pruned = "first", 0, 0
        self.rows: dict[int, tuple[int, Vectors]] = {}
        self.written: list[tuple[int, str, int, int | None]] = []
        self.departments: dict[int, str] = {}

    def write(self, operation: str, face: int, person: int | None, vector: Vectors | None = None) -> None:
        """One change, with its row."""
        self.sequence += 1
        if operation == "remove":
            self.rows.pop(face, None)
        elif vector is not None:
            self.rows[face] = (person or 0, vector)
        elif face in self.rows:
            self.rows[face] = (person or 0, self.rows[face][1])
        self.written.append((self.sequence, operation, face, person))

    def head(self, collection: int) -> Head | None:
        """See :class:`index.protocol.Log`."""
        return Head(self.epoch, self.sequence) if collection == 1 else None

    def heads(self) -> dict[int, Head]:
        """See :class:`index.protocol.Log`."""
        return {1: Head(self.epoch, self.sequence)}

    def entries(self, collection: int, generation: int, epoch: str, after: int, limit: int) -> list[Entry]:
        """See :class:`index.protocol.Log`."""
        del collection, generation
        if epoch != self.epoch:
            return []
        found = [row for row in self.written if row[0] > max(after, self.pruned)][:limit]
        return [Entry(s, op, face, person, self._vector(face), self._held(person)) for s, op, face, person in found]

    def faces(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """See :class:`index.protocol.Log`."""
        del collection, generation
        faces = sorted(self.rows)
        for start in range(0, len(faces), 3):
            part = faces[start : start + 3]
            persons = np.array([self.rows[face][0] for face in part], np.int64)
            vectors = np.stack([self.rows[face][1] for face in part]).astype(np.float16)
            yield np.array(part, np.int64), persons, vectors

    def owners(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
        """See :class:`index.protocol.Log`."""
        yield from ((faces, persons) for faces, persons, _ in self.faces(collection, generation))

    def attributes(self, collection: int) -> Iterator[tuple[int, Mapping[str, str]]]:
        """See :class:`index.protocol.Log`."""
        del collection
        yield from ((person, {"department": name}) for person, name in self.departments.items())

    def _held(self, person: int | None) -> Mapping[str, str] | None:
        if person is None:
            return None
        return {"department": self.departments[person]} if person in self.departments else {}

    def _vector(self, face: int) -> NDArray[np.float16] | None:
        return self.rows[face][1].astype(np.float16) if face in self.rows else None


class FolderShelf:
    """A :class:`index.protocol.Shelf` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_away = False

    def names(self) -> Iterator[tuple[str, float]]:
        """See :class:`index.protocol.Shelf`."""
        self._reach()
        for file in self.folder.rglob("*"):
            if file.is_file():
                yield str(file.relative_to(self.folder)), time.time() - file.stat().st_mtime

    def put(self, name: str, file: Path) -> None:
        """See :class:`index.protocol.Shelf`."""
        self._reach()
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, self.folder / name)

    def get(self, name: str, file: Path) -> None:
        """See :class:`index.protocol.Shelf`."""
        self._reach()
        shutil.copyfile(self.folder / name, file)

    def delete(self, name: str) -> None:
        """See :class:`index.protocol.Shelf`."""
        self._reach()
        (self.folder / name).unlink(missing_ok=True)

    def _reach(self) -> None:
        if self.is_away:
            raise OSError("The shelf is away.")
