"""Vectors and a log for the tests of the index."""

from collections.abc import Iterator

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

    def entries(self, collection: int, model: int, after: int, limit: int) -> list[Entry]:
        """See :class:`index.protocol.Log`."""
        del collection, model
        found = [row for row in self.written if row[0] > max(after, self.pruned)][:limit]
        return [Entry(s, op, face, person, self._vector(face)) for s, op, face, person in found]

    def faces(self, collection: int, model: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """See :class:`index.protocol.Log`."""
        del collection, model
        faces = sorted(self.rows)
        for start in range(0, len(faces), 3):
            part = faces[start : start + 3]
            persons = np.array([self.rows[face][0] for face in part], np.int64)
            vectors = np.stack([self.rows[face][1] for face in part]).astype(np.float16)
            yield np.array(part, np.int64), persons, vectors

    def _vector(self, face: int) -> NDArray[np.float16] | None:
        return self.rows[face][1].astype(np.float16) if face in self.rows else None
