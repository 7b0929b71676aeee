"""Following: the catalog's log as the index reads it."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from index.protocol import Entry, Head, Ids
from services.catalog import log
from services.catalog.engine import Catalog

VECTOR = np.dtype("<f2")
"""How the catalog keeps vectors: float16, little endian."""


class CatalogLog:
    """An :class:`index.protocol.Log` over the catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def head(self, collection: int) -> Head | None:
        """See :class:`index.protocol.Log`."""
        with self._catalog.reading() as session:
            found = log.head(session, collection)
        return None if found is None else Head(*found)

    def heads(self) -> dict[int, Head]:
        """See :class:`index.protocol.Log`."""
        with self._catalog.reading() as session:
            return {collection: Head(*head) for collection, head in log.heads(session).items()}

    def entries(self, collection: int, model: int, epoch: str, after: int, limit: int) -> list[Entry]:
        """See :class:`index.protocol.Log`. Epoch and entries are read at one moment."""
        with self._catalog.reading() as session:
            head = log.head(session, collection)
            rows = log.entries(session, collection, model, after, limit) if head and head[0] == epoch else []
        return [Entry(r.sequence, r.operation, r.face_id, r.person_id, _vector(r.vector), r.attributes) for r in rows]

    def faces(self, collection: int, model: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """See :class:`index.protocol.Log`. All in one reading transaction."""
        with self._catalog.reading() as session:
            for rows in log.faces(session, collection, model):
                faces = np.array([row.face_id for row in rows], np.int64)
                persons = np.array([row.person_id or 0 for row in rows], np.int64)
                vectors = np.frombuffer(b"".join(row.vector for row in rows), VECTOR).reshape(len(rows), -1)
                yield faces, persons, vectors

    def owners(self, collection: int, model: int) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
        """See :class:`index.protocol.Log`. All in one reading transaction."""
        with self._catalog.reading() as session:
            for rows in log.owners(session, collection, model):
                faces = np.array([row.face_id for row in rows], np.int64)
                yield faces, np.array([row.person_id or 0 for row in rows], np.int64)

    def attributes(self, collection: int) -> Iterator[tuple[int, Mapping[str, str]]]:
        """See :class:`index.protocol.Log`."""
        with self._catalog.reading() as session:
            yield from log.attributes(session, collection)


def _vector(held: bytes | None) -> NDArray[np.float16] | None:
    return None if held is None else np.frombuffer(held, VECTOR)
