"""Following: the catalog's log as the index reads it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

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

    def entries(self, collection: int, generation: int, epoch: str, after: int, limit: int) -> list[Entry]:
        """See :class:`index.protocol.Log`. Epoch and entries are read at one moment."""
        with self._catalog.reading() as session:
            head = log.head(session, collection)
            rows = log.entries(session, collection, generation, after, limit) if head and head[0] == epoch else []
        return [Entry(r.sequence, r.operation, r.face_id, r.person_id, _vector(r.vector), r.attributes) for r in rows]

    def faces(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """See :class:`index.protocol.Log`. All in one reading transaction."""
        with self._catalog.reading() as session:
            for rows in log.faces(session, collection, generation):
                faces = np.array(rows.face_ids, np.int64)
                persons = np.array([person or 0 for person in rows.person_ids], np.int64)
                for some, vectors in _runs(rows.vectors):
                    yield faces[some], persons[some], vectors

    def owners(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
        """See :class:`index.protocol.Log`. All in one reading transaction."""
        with self._catalog.reading() as session:
            for rows in log.owners(session, collection, generation):
                faces = np.array([row.face_id for row in rows], np.int64)
                yield faces, np.array([row.person_id or 0 for row in rows], np.int64)

    def attributes(self, collection: int) -> Iterator[tuple[int, Mapping[str, str]]]:
        """See :class:`index.protocol.Log`."""
        with self._catalog.reading() as session:
            yield from log.attributes(session, collection)


def _vector(held: bytes | None) -> NDArray[np.float16] | None:
    """None where there is none; of no length at all where the bytes are no float16 numbers."""
    return None if held is None else np.frombuffer(held if len(held) % 2 == 0 else b"", VECTOR)


def _runs(held: Sequence[bytes]) -> Iterator[tuple[slice, NDArray[np.float16]]]:
    """Neighbours of one length, as (n, d); one, unless a row is damaged."""
    first = 0
    for size, run in groupby(held, len):
        raw = list(run)
        shape = (len(raw), size // 2 if size % 2 == 0 else 0)
        yield (
            slice(first, first + len(raw)),
            np.frombuffer(b"".join(raw)[: 2 * shape[0] * shape[1]], VECTOR).reshape(shape),
        )
        first += len(raw)
