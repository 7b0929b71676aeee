"""Merges: two people become one, and, for a while, two again.

What is kept of who went is their name and the like, and which faces and items were theirs; after a while their id alone, so that who
remained is erased from older backups under that, too. It is erased with who remained.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, null, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from services.catalog import log, people
from services.catalog.importing import source_files
from services.catalog.privacy import consents
from services.catalog.reviewing import not_same_merged
from services.catalog.schema import Face, Item, Person, new_id, now
from services.catalog.tables.console import Merge
from services.catalog.tables.webhook import Delivery
from services.errors import Conflict, NotFound

UNDONE_WITHIN_S = 30 * 86_400.0
"""So long a merge can be undone; then only the id of who went is kept."""
_AT_ONCE = 5000
"""SQLite takes some 30,000 values in a statement."""

_T = TypeVar("_T")


class Merged(NamedTuple):
    """What a merge has changed."""

    head: int
    """The collection's new one."""
    merge: str
    """Public id, to undo it by."""


class Undone(NamedTuple):
    """What undoing a merge has changed."""

    head: int
    """The collection's new one."""
    person: Person
    """Who is back."""


def merge(session: Session, source: Person, into: Person, *, by: str) -> Merged:
    """Give all of *source*'s faces, in every round, to *into* and delete *source*.

    Args:
        session: A writing transaction.
        source: Who goes.
        into: Who remains, with their own name, external id and attributes.
        by: Name of the key.

    Raises:
        Conflict: Both are the same person.
        NotFound: One of them was erased or merged a moment ago.
    """
    if source.id == into.id:
        raise Conflict("A person cannot be merged into themselves.")
    people.lock(session, source, into)
    moved = session.execute(select(Face.id, Face.public_id).where(Face.person_id == source.id).order_by(Face.id)).all()
    row = Merge(
        public_id=new_id("mrg"),
        collection_id=into.collection_id,
        into_id=into.id,
        gone=source.public_id,
        person=_as_they_are(source),
        faces=list(dict.fromkeys(face.public_id for face in moved)),
        items=list(session.scalars(select(Item.id).where(Item.person_id == source.id).order_by(Item.id))),
        merges=list(session.scalars(select(Merge.id).where(Merge.into_id == source.id).order_by(Merge.id))),
        not_same=not_same_merged.merged(session, source, into),
        merged_by=by,
    )
    session.add(row)
    session.flush()
    for table in (Face, Item, Delivery):
        session.execute(update(table).where(table.person_id == source.id).values(person_id=into.id))
    row.consents = consents.move(session, source, into)
    source_files.move(session, source, into)
    session.execute(update(Merge).where(Merge.into_id == source.id).values(into_id=into.id))
    session.execute(sql_delete(Person).where(Person.id == source.id))
    changes = [log.Change("assign", face.id, into.id) for face in moved]
    return Merged(log.append(session, into.collection_id, changes).head, row.public_id)


def undo(session: Session, collection_id: int, public_id: str) -> Undone:
    """Bring back who was merged away, under their old id, with what was theirs and is still with who remained.

    So come back, in every round, the faces that still exist and were not given to anybody else meanwhile, those of photos that
    were under way then, the items, and the merges into them.

    Raises:
        Conflict: It was undone already; somebody else has their name or external id now; or who remained was merged or erased
            this very moment.
        NotFound: There is no such merge, or it was too long ago, or who remained was erased.
    """
    found = by_public_id(session, collection_id, public_id)
    into = session.get(Person, found.into_id)
    if into is None:
        raise NotFound("merge", public_id)
    people.lock(session, into)
    row = session.scalar(
        select(Merge).where(Merge.id == found.id).with_for_update().execution_options(populate_existing=True)
    )
    if row is None or row.into_id != into.id:
        raise Conflict("Who remained was merged or erased a moment ago. Look again.")
    if row.person is None:
        raise Conflict("That merge was undone already.")
    person = _brought_back(session, row)
    changes = _returned(session, row, into, person)
    not_same_merged.unmerged(session, into, person, row.not_same)
    consents.move_back(session, row.consents or [], into, person)
    source_files.move_back(session, row.items, into, person)
    row.person, row.faces, row.items, row.merges, row.not_same, row.consents = (
        None,
        [],
        [],
        [],
        {},
        [],
    )  # Kept by themselves again.
    row.undone_at = session.scalar(select(now()))
    session.flush()
    return Undone(log.append(session, collection_id, changes).head, person)


def by_public_id(session: Session, collection_id: int, public_id: str) -> Merge:
    """The merge of that id.

    Raises:
        NotFound: There is none in this collection, or none any more.
    """
    mine = (Merge.collection_id == collection_id, Merge.public_id == public_id, _is_late_enough())
    found = session.scalar(select(Merge).where(*mine))
    if found is None:
        raise NotFound("merge", public_id)
    return found


class MergeRow(NamedTuple):
    """A merge as lists show it."""

    merge: Merge
    into: Person
    back: Person | None
    """Who is back, where it was undone and they are still there."""


def page(
    session: Session, collection_id: int, *, into: Person | None = None, limit: int = 50, before: int | None = None
) -> list[MergeRow]:
    """Merges, the latest first, at most *limit*, below merge number *before*; into one person or into any."""
    back = (Person.collection_id == Merge.collection_id) & (Person.public_id == Merge.gone)
    wanted = select(Merge, Person).outerjoin(Person, back)
    wanted = wanted.where(Merge.collection_id == collection_id, _is_late_enough())
    if into is not None:
        wanted = wanted.where(Merge.into_id == into.id)
    if before is not None:
        wanted = wanted.where(Merge.id < before)
    rows = session.execute(wanted.order_by(Merge.id.desc()).limit(limit)).all()
    remained = people.named(session, {row.into_id for row, _ in rows})
    return [MergeRow(row, remained[row.into_id], found) for row, found in rows if row.into_id in remained]


def remained_of(session: Session, collection_id: int, public_id: str) -> Person | None:
    """Who has the faces of a person that was merged away, and not brought back; None where nobody of that id was."""
    mine = (Merge.collection_id == collection_id, Merge.gone == public_id, Merge.undone_at.is_(None))
    return session.scalar(select(Person).join(Merge, Merge.into_id == Person.id).where(*mine).order_by(Merge.id.desc()))


def prune(session: Session) -> None:
    """Forget what was kept of who went, where that can no longer be undone; merges that were undone as a whole."""
    session.execute(sql_delete(Merge).where(~_is_late_enough(), Merge.undone_at.is_not(None)))
    nothing: dict[str, Any] = {"person": null(), "faces": [], "items": [], "merges": [], "not_same": {}, "consents": []}
    session.execute(update(Merge).where(~_is_late_enough(), Merge.person.is_not(None)).values(**nothing))


def _is_late_enough() -> ColumnElement[bool]:
    """Whether a merge can still be undone, or is listed as one that was."""
    return Merge.created_at >= now() - UNDONE_WITHIN_S


def _as_they_are(person: Person) -> dict[str, object]:
    return {
        "name": person.name,
        "external_id": person.external_id,
        "attributes": dict(person.attributes),
        "created_at": person.created_at,
        "expires_at": person.expires_at,
    }


def _brought_back(session: Session, row: Merge) -> Person:
    """A row of the person as they were.

    Raises:
        Conflict: Somebody else has their name or external id now.
    """
    assert row.person is not None
    person = Person(
        public_id=row.gone,
        collection_id=row.collection_id,
        search_name=people.searchable(row.person["name"]),
        **row.person,
    )
    try:
        with session.begin_nested():
            session.add(person)
    except IntegrityError as error:
        who = f"external id {person.external_id}" if person.external_id is not None else f"name {person.name}"
        raise Conflict(
            f"Somebody else has the {who} by now. Give them another one, or merge them, and undo this again."
        ) from error
    return person


def _returned(session: Session, row: Merge, into: Person, person: Person) -> list[log.Change]:
    """Give *person* what is still with *into*; the caller logs what is returned."""
    session.execute(update(Merge).where(Merge.id.in_(row.merges), Merge.into_id == into.id).values(into_id=person.id))
    theirs = list(row.faces)
    for some in _batches(row.items):
        mine = (Item.id.in_(some), Item.person_id == into.id)
        # A photo that was under way when they were merged was taken in as the other's.
        late = (Item.finished_at > row.created_at, Face.created_at > row.created_at, Face.assigned_by == "import")
        wanted = select(Face.public_id).join(Item, Item.photo_id == Face.photo_id).where(*mine, *late)
        theirs += session.scalars(wanted).all()
        session.execute(update(Item).where(*mine).values(person_id=person.id))
    moved: set[int] = set()
    for public_ids in _batches(theirs):
        still = (Face.collection_id == row.collection_id, Face.public_id.in_(public_ids), Face.person_id == into.id)
        moved.update(session.scalars(select(Face.id).where(*still)))
    for numbers in _batches(sorted(moved)):
        session.execute(update(Face).where(Face.id.in_(numbers)).values(person_id=person.id))
    return [log.Change("assign", face, person.id) for face in sorted(moved)]


def _batches(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (values[start : start + _AT_ONCE] for start in range(0, len(values), _AT_ONCE))
