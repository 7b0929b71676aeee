"""The audit as it is read: the latest first, by what was done, to whom, by which key and when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import ColumnElement, Text, cast, or_, select, tuple_
from sqlalchemy.orm import Session

from services.catalog.tables.audit import AuditEntry

Order = Literal["newest", "oldest"]
"""Which come first."""


class Place(NamedTuple):
    """Where a list stands."""

    at: float
    chain: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None: any."""

    collections: Sequence[str] | None = None
    action: str | None = None
    """One, such as ``person.erase``, or all of a kind: ``person``."""
    object: str | None = None
    person: str | None = None
    """Public id: of what it was done to, or of one who is told of in it."""
    key: str | None = None
    since: float | None = None
    until: float | None = None


def place_of(entry: AuditEntry) -> Place:
    """Where an entry stands in a list."""
    return Place(entry.at, entry.chain, entry.sequence)


def page(
    session: Session, wanted: Wanted, *, limit: int, after: Place | None = None, oldest_first: bool = False
) -> Sequence[AuditEntry]:
    """Entries by time, the latest first or the oldest first."""
    place = tuple_(AuditEntry.at, AuditEntry.chain, AuditEntry.sequence)
    asked = select(AuditEntry).where(*_where(wanted))
    if after is not None:
        asked = asked.where(place > tuple_(*after) if oldest_first else place < tuple_(*after))
    order = (AuditEntry.at, AuditEntry.chain, AuditEntry.sequence)
    asked = asked.order_by(*(order if oldest_first else [column.desc() for column in order]))
    return session.scalars(asked.limit(limit)).all()


def tells_of(person: str) -> ColumnElement[bool]:
    """That an entry is about a person or names them, such as a search that found them; by public id."""
    named = cast(AuditEntry.details, Text).contains(f'"{person}"', autoescape=True)
    return or_(AuditEntry.object == person, named)


def _where(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.collections is not None:
        yield AuditEntry.collection.in_(wanted.collections)
    if wanted.action is not None:
        kind = f"{wanted.action}."
        yield or_(AuditEntry.action == wanted.action, AuditEntry.action.startswith(kind, autoescape=True))
    if wanted.object is not None:
        yield AuditEntry.object == wanted.object
    if wanted.person is not None:
        yield tells_of(wanted.person)
    if wanted.key is not None:
        yield AuditEntry.key == wanted.key
    if wanted.since is not None:
        yield AuditEntry.at >= wanted.since
    if wanted.until is not None:
        yield AuditEntry.at < wanted.until
