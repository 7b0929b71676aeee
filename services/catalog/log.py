"""A collection's log: every change of what can be searched, numbered without holes."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from sqlalchemy import String, and_, cast, delete, func, insert, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, Embedding, Face, Generation, LogEntry, Person, now
from services.errors import NotFound


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one face: ``add``, ``remove`` or ``assign``, and whose it is now; or to a person: ``attributes``.

    ``prepare`` and ``switch`` name a generation, which searchers are to hold, and which searches look in from now on.
    """

    operation: str
    face_id: int = 0
    """0 where it happened to a person; the number of a generation."""
    person_id: int | None = None


class Appended(NamedTuple):
    """Where a collection stands after its changes were logged."""

    head: int
    live: tuple[int, ...]
    """The generations that every face added just now must be in."""


class Entry(NamedTuple):
    """A log entry with what its face and person have now.

    ``vector`` is float16 bytes in one generation, None where the face has none there; ``attributes`` are None where the entry
    names nobody or the person is gone.
    """

    sequence: int
    operation: str
    face_id: int
    person_id: int | None
    vector: bytes | None
    attributes: dict[str, Any] | None


class FaceRows(NamedTuple):
    """Faces that can be searched, one or more, column by column: whose each is, and its vector as float16 bytes."""

    face_ids: tuple[int, ...]
    person_ids: tuple[int | None, ...]
    vectors: tuple[bytes, ...]


class OwnerRow(NamedTuple):
    """A face that can be searched, and whose it is."""

    face_id: int
    person_id: int | None


def append(session: Session, collection_id: int, changes: Sequence[Change]) -> Appended:
    """Log *changes*, in order, and return the collection's new head and its live generations.

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
        .returning(Collection.head, Collection.live)
    ).one_or_none()
    if row is None:
        raise NotFound("collection", collection_id)
    head, live = row
    if changes:
        numbered = enumerate(changes, start=head - len(changes) + 1)
        session.execute(
            insert(LogEntry),
            [{"collection_id": collection_id, "sequence": n, **asdict(change)} for n, change in numbered],
        )
    return Appended(head, tuple(live))


def head(session: Session, collection_id: int) -> tuple[str, int] | None:
    """Epoch and last sequence number of a collection; None where it is gone."""
    row = session.execute(select(Collection.epoch, Collection.head).where(Collection.id == collection_id)).one_or_none()
    return None if row is None else (row.epoch, row.head)


def heads(session: Session) -> dict[int, tuple[str, int]]:
    """Epoch and last sequence number of every collection, in one query."""
    rows = session.execute(select(Collection.id, Collection.epoch, Collection.head))
    return {row.id: (row.epoch, row.head) for row in rows}


def entries(session: Session, collection_id: int, generation_id: int, after: int, limit: int) -> list[Entry]:
    """At most *limit* entries above *after*, in order, with the vectors of one generation.

    An entry whose face has lost its embedding since, or is not in that generation, comes without a vector and still counts:
    an ``add`` of an erased face is a no-op that advances the number.
    """
    model_id, round_ = _scope(session, generation_id)
    rows = session.execute(
        select(
            LogEntry.sequence,
            LogEntry.operation,
            LogEntry.face_id,
            LogEntry.person_id,
            Embedding.vector,
            Person.attributes,
        )
        .outerjoin(Face, and_(Face.id == LogEntry.face_id, Face.round == round_))
        .outerjoin(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == model_id))
        .outerjoin(Person, Person.id == LogEntry.person_id)
        .where(LogEntry.collection_id == collection_id, LogEntry.sequence > after)
        .order_by(LogEntry.sequence)
        .limit(limit)
    )
    return [Entry(*row) for row in rows]


def faces(session: Session, collection_id: int, generation_id: int, *, batch: int = 4096) -> Iterator[FaceRows]:
    """All faces of a collection that have an embedding in that generation, in batches, by face number."""
    model_id, round_ = _scope(session, generation_id)
    last = 0
    while True:
        found = session.connection().execute(
            select(Face.id, Face.person_id, Embedding.vector)
            .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == model_id))
            .where(Face.collection_id == collection_id, Face.round == round_, Face.id > last)
            .order_by(Face.id)
            .limit(batch)
        )
        assert found.cursor is not None
        rows = (
            found.cursor.fetchall()
        )  # The driver's own tuples: SQLAlchemy's rows take twice the time of reading them.
        found.close()
        if not rows:
            return
        last = rows[-1][0]
        yield FaceRows(*zip(*rows, strict=True))


def owners(
    session: Session, collection_id: int, generation_id: int, *, batch: int = 16_384
) -> Iterator[list[OwnerRow]]:
    """As :func:`faces`, without reading a vector."""
    model_id, round_ = _scope(session, generation_id)
    last = 0
    while True:
        rows = session.execute(
            select(Face.id, Face.person_id)
            .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == model_id))
            .where(Face.collection_id == collection_id, Face.round == round_, Face.id > last)
            .order_by(Face.id)
            .limit(batch)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        yield [OwnerRow(*row) for row in rows]


def attributes(session: Session, collection_id: int, *, batch: int = 4096) -> Iterator[tuple[int, dict[str, str]]]:
    """The attributes of all people of a collection who have any."""
    last = 0
    while True:
        rows = session.execute(
            select(Person.id, Person.attributes)
            .where(Person.collection_id == collection_id, Person.id > last)
            .where(cast(Person.attributes, String) != "{}")
            .order_by(Person.id)
            .limit(batch)
        ).all()
        if not rows:
            return
        last = rows[-1].id
        yield from ((row.id, row.attributes) for row in rows)


def prune(session: Session, collection_id: int, *, up_to: int, older_than_s: float, limit: int) -> int:
    """Delete at most *limit* entries, the oldest first, that are not above *up_to* and older than *older_than_s*.

    Returns:
        How many were deleted.
    """
    old = (
        select(LogEntry.sequence)
        .where(LogEntry.collection_id == collection_id, LogEntry.sequence <= up_to)
        .where(LogEntry.created_at < now() - older_than_s)
    )
    oldest = old.order_by(LogEntry.sequence).limit(limit).subquery()
    count, last = session.execute(select(func.count(), func.max(oldest.c.sequence))).one()
    if count:
        mine = LogEntry.collection_id == collection_id
        session.execute(delete(LogEntry).where(mine, LogEntry.sequence <= last))
    return int(count)


def _scope(session: Session, generation_id: int) -> tuple[int, int]:
    """The model and the round of a generation; of one that is gone, what no face has."""
    row = session.execute(select(Generation.model_id, Generation.round).where(Generation.id == generation_id)).first()
    return (-1, -1) if row is None else (row.model_id, row.round)
