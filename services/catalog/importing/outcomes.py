"""Outcomes: how the photos of a job ended, summed up and line by line."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from services.catalog.importing import jobs
from services.catalog.schema import Item, Job, Person, Photo

_AT_ONCE = 1000


def by_reason(session: Session, job: Job) -> dict[str, int]:
    """How many photos of *job* were rejected for which reason, most first."""
    count = func.count()
    rows = session.execute(
        select(Item.reason, count)
        .where(Item.job_id == job.id, Item.state == "rejected", Item.reason.is_not(None))
        .group_by(Item.reason)
        .order_by(count.desc(), Item.reason)
    )
    return {reason: number for reason, number in rows if reason is not None}


class Sum(NamedTuple):
    """How the photos of one person ended."""

    person: Person
    photos: int
    rejected: int
    reason: str | None
    """Of all that were rejected; None where there are several."""


def by_person(session: Session, job: Job, *, none_taken: bool, limit: int, after: int = 0) -> Sequence[Sum]:
    """The people of *job* by number, after person number *after*; with *none_taken* those all of whose photos were rejected."""
    rejected = func.sum(case((Item.state == "rejected", 1), else_=0))
    wanted = (
        select(Person, func.count(), rejected, func.min(Item.reason), func.max(Item.reason))
        .join(Person, Person.id == Item.person_id)
        .where(Item.job_id == job.id, Person.id > after)
        .group_by(Person.id)
        .order_by(Person.id)
        .limit(limit)
    )
    if none_taken:
        wanted = wanted.having(rejected == func.count())
    rows = session.execute(wanted)
    return [Sum(who, photos, lost, first if first == last else None) for who, photos, lost, first, last in rows]


def people(session: Session, job: Job) -> int:
    """Of how many people *job* has enrolled a photo."""
    taken = (Item.job_id == job.id, Item.state == "done")
    return session.scalar(select(func.count(func.distinct(Item.person_id))).where(*taken)) or 0


def people_again(session: Session, job: Job) -> Sequence[Person]:
    """Whom the photos show that :func:`services.catalog.importing.jobs.retry` would put back to work."""
    again = (Item.job_id == job.id, Item.state.in_(("rejected", "cancelled")), Item.photo_id.is_not(None))
    return session.scalars(select(Person).where(Person.id.in_(select(Item.person_id).where(*again)))).all()


def last_finished(session: Session, job: Job) -> tuple[float, int]:
    """The (finished_at, id) of the item that ended last; zeros before any has.

    :func:`services.catalog.importing.jobs.finished_since` goes on from there.
    """
    ended = select(Item.finished_at, Item.id).where(Item.job_id == job.id, Item.finished_at.is_not(None))
    row = session.execute(ended.order_by(Item.finished_at.desc(), Item.id.desc()).limit(1)).first()
    return (0.0, 0) if row is None else (row.finished_at or 0.0, row.id)


def every(session: Session, job: Job) -> Iterator[tuple[Item, Photo | None, Person | None]]:
    """All items of *job* in the order they were added, read some at a time."""
    after = 0
    while rows := jobs.items(session, job, limit=_AT_ONCE, after=after):
        yield from rows
        after = rows[-1][0].id
