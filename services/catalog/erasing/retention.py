"""Retention: whose time in a collection is over, and the guard that a wrong clock does not erase everybody.

A person's time is over when their own end is past, or when they have been enrolled for as long as their collection keeps people,
whichever comes first; by the catalog's clock. What it did last stands in ``collections.retained``: ``looked_at``; ``held``, how
many it would have erased and does not until somebody confirms it, and ``why``; ``confirmed_at``, the moment as of which somebody
has; ``erased`` and ``erased_at``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Float, and_, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, Face, Item, Person, Photo, now
from services.errors import Conflict

JUMP_S = 7 * 86_400.0
"""So much later than at the last look, the clock is doubted: then a share counts however few they are."""
FEW = 10
"""So many at once need no confirmation in a small collection, unless the clock is doubted."""
_NOTED_EVERY_S = 3600.0
_DAY_S = 86_400.0


class Due(NamedTuple):
    """Whose time is over in a collection, and what retention makes of it."""

    people: int
    """How many of them may be erased now."""
    before: float
    """As of this moment."""
    held: int
    """How many more would be, and are not until somebody confirms it."""


def is_over(session: Session, moment: float) -> bool:
    """Whether *moment* is past by the catalog's clock."""
    return (session.scalar(select(now())) or 0.0) >= moment


def is_due(collection: Collection, before: float) -> ColumnElement[bool]:
    """Whether a person's time in *collection* is over as of a moment."""
    over: list[ColumnElement[bool]] = [and_(Person.expires_at.is_not(None), Person.expires_at <= before)]
    if collection.retention_days is not None:
        over.append(Person.created_at <= before - collection.retention_days * _DAY_S)
    return and_(Person.collection_id == collection.id, or_(*over))


def count(session: Session, collection: Collection, before: float | None = None) -> int:
    """How many people's time is over as of a moment; None: now."""
    moment = (session.scalar(select(now())) or 0.0) if before is None else before
    wanted = select(func.count()).select_from(Person).where(is_due(collection, moment))
    return session.scalar(wanted) or 0


def look(session: Session, collection: Collection, most_share: float) -> Due:
    """How many may be erased, by share and clock; writes down what is held back.

    Args:
        session: A writing transaction.
        collection: Its row.
        most_share: Of its people that are erased without being confirmed, 0 to 1.
    """
    moment = float(session.scalar(select(now())) or 0.0)
    told = dict(collection.retained or {})
    confirmed_at = told.get("confirmed_at")
    if confirmed_at is not None and (confirmed := count(session, collection, confirmed_at)):
        return Due(confirmed, confirmed_at, 0)
    due = count(session, collection, moment)
    people = session.scalar(select(func.count()).select_from(Person).where(Person.collection_id == collection.id)) or 0
    jumped = moment - told.get("looked_at", moment) > JUMP_S
    is_many = due > most_share * people
    held = due if is_many and (jumped or due > FEW) else 0
    if held:
        why = "clock" if jumped else "share"
        _write(session, collection, {**told, "held": held, "why": why, "confirmed_at": None})
        return Due(0, moment, held)
    is_news = moment - told.get("looked_at", 0.0) > _NOTED_EVERY_S or moment < told.get("looked_at", 0.0)
    if is_news or told.get("held") or confirmed_at is not None:
        _write(session, collection, {**told, "looked_at": moment, "held": 0, "why": None, "confirmed_at": None})
    return Due(due, moment, 0)


def is_quiet(session: Session, collection: Collection) -> bool:
    """Whether :func:`look` would find nobody and write nothing."""
    told = collection.retained or {}
    moment = float(session.scalar(select(now())) or 0.0)
    is_fresh = 0.0 <= moment - told.get("looked_at", 0.0) <= _NOTED_EVERY_S
    return (
        is_fresh
        and not told.get("held")
        and told.get("confirmed_at") is None
        and not count(session, collection, moment)
    )


def some(session: Session, collection: Collection, before: float, limit: int) -> Sequence[Person]:
    """Some people whose time is over as of a moment."""
    return session.scalars(select(Person).where(is_due(collection, before)).order_by(Person.id).limit(limit)).all()


def erased(session: Session, collection: Collection, people: int) -> None:
    """Write down that so many were erased."""
    told = dict(collection.retained or {})
    moment = session.scalar(select(now()))
    _write(session, collection, {**told, "erased": told.get("erased", 0) + people, "erased_at": moment})


def confirm(session: Session, collection: Collection, people: int) -> int:
    """Have those erased whose time is over now, however many. Returns how many that are.

    Raises:
        Conflict: They are more than *people* by now.
    """
    due = count(session, collection)
    if due > people:
        raise Conflict(
            f"The time of {due} people in {collection.name} is over, and {people} were confirmed. Look again."
        )
    told = dict(collection.retained or {})
    _write(session, collection, {**told, "confirmed_at": session.scalar(select(now())), "held": 0, "why": None})
    return due


def ends_at(collection: Collection, person: Person) -> float | None:
    """When a person's time in *collection* is over; None: never of itself."""
    ends = [] if person.expires_at is None else [person.expires_at]
    if collection.retention_days is not None:
        ends.append(person.created_at + collection.retention_days * _DAY_S)
    return min(ends, default=None)


def shows_nobody(days: float) -> ColumnElement[bool]:
    """Whether a photo, taken in so many days ago, shows nobody who is known or waits for review, and is not said to."""
    kept = select(Face.id).where(
        Face.photo_id == Photo.id, or_(Face.person_id.is_not(None), Face.chip_key.is_not(None))
    )
    under_way = select(Item.id).where(Item.photo_id == Photo.id, Item.state.in_(("queued", "waiting")))
    said = select(Item.id).where(Item.photo_id == Photo.id, Item.person_id.is_not(None))
    old = Photo.created_at < now() - cast(literal(days * _DAY_S), Float)
    rejected = and_(Photo.state == "rejected", ~said.exists())
    return and_(old, or_(Photo.state == "done", rejected), ~kept.exists(), ~under_way.exists())


def _write(session: Session, collection: Collection, told: dict[str, Any]) -> None:
    collection.retained = told
    session.flush()
