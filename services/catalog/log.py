"""A collection's log: every change of what can be searched, numbered without holes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, Embedding, Face, LogEntry
from services.errors import NotFound


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one face: ``add``, ``remove`` or ``assign``; and whose it is now."""

    operation: str
    face_id: int
    person_id: int | None = None


class Appended(NamedTuple):
    """Where a collection stands after its changes were logged."""

    head: int
    live_models: tuple[int, ...]
    """The models that every face added just now must have an embedding of."""


class Entry(NamedTuple):
    """A log entry with the vector (float16 bytes) that its face has now under one model; None where it has none."""

    sequence: int
    operation: str
    face_id: int
    person_id: int | None
    vector: bytes | None


class FaceRow(NamedTuple):
    """A face that can be searched: whose it is, and its vector as float16 bytes."""

    face_id: int
    person_id: int | None
    vector: bytes


def append(session: Session, collection_id: int, changes: Sequence[Change]) -> Appended:
    """Log *changes*, in order, and return the collection's new head and its live models.

    The last statement of a transaction but the commit: until then the row lock of the ``UPDATE`` makes other writers
    wait, so numbers become visible in the order they were given. Whoever has read entry *s* has missed none below it.
    (PostgreSQL hands out sequence values before commit: with a plain one a follower could miss a row that commits late.)

    Raises:
        NotFound: There is no collection *collection_id*.
    """
    row = session.execute(
        update(Collection)
        .where(Collection.id == collection_id)
        .values(head=Collection.head + len(changes))
        .returning(Collection.head, Collection.live_models)
    ).one_or_none()
    if row is None:
        raise NotFound("collection", collection_id)
    head, live_models = row
    if changes:
        numbered = enumerate(changes, start=head - len(changes) + 1)
        session.execute(
            insert(LogEntry),
            [{"collection_id": collection_id, "sequence": n, **asdict(change)} for n, change in numbered],
        )
    return Appended(head, tuple(live_models))


def head(session: Session, collection_id: int) -> tuple[str, int] | None:
    """Epoch and last sequence number of a collection; None where it is gone."""
    row = session.execute(select(Collection.epoch, Collection.head).where(Collection.id == collection_id)).one_or_none()
    return None if row is None else (row.epoch, row.head)


def heads(session: Session) -> dict[int, tuple[str, int]]:
    """Epoch and last sequence number of every collection, in one query."""
    rows = session.execute(select(Collection.id, Collection.epoch, Collection.head))
    return {row.id: (row.epoch, row.head) for row in rows}


def entries(session: Session, collection_id: int, model_id: int, after: int, limit: int) -> list[Entry]:
    """At most *limit* entries above *after*, in order.

    An entry whose face has lost its embedding since comes without a vector and still counts: an ``add`` of an erased
    face is a no-op that advances the number.
    """
    rows = session.execute(
        select(LogEntry.sequence, LogEntry.operation, LogEntry.face_id, LogEntry.person_id, Embedding.vector)
        .outerjoin(Embedding, and_(Embedding.face_id == LogEntry.face_id, Embedding.model_id == model_id))
        .where(LogEntry.collection_id == collection_id, LogEntry.sequence > after)
        .order_by(LogEntry.sequence)
        .limit(limit)
    )
    return [Entry(*row) for row in rows]


def faces(session: Session, collection_id: int, model_id: int, *, batch: int = 4096) -> Iterator[list[FaceRow]]:
    """All faces of a collection that have an embedding of *model_id*, in batches, by face number."""
    last = 0
    while True:
        rows = session.execute(
            select(Face.id, Face.person_id, Embedding.vector)
            .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == model_id))
            .where(Face.collection_id == collection_id, Face.id > last)
            .order_by(Face.id)
            .limit(batch)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        yield [FaceRow(*row) for row in rows]
