"""Traces: what speaks of somebody beside their own rows, and goes when they are erased.

A file is often called as whom it shows; the answer to a request that created somebody names them for a day; a report of an
evaluation shows pictures of those it went wrong with.
"""

from collections.abc import Collection as Some
from typing import NamedTuple

from sqlalchemy import ColumnElement, String, and_, cast, exists, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from services.catalog.schema import Computation, Evaluation, Item, Job
from services.catalog.tables.request import Request

FORGOTTEN = "(erased)"
"""What is left of the name of a file."""
_AT_ONCE = 200


def forget_names(session: Session, whose: ColumnElement[bool]) -> None:
    """Forget what files were called, of items, and where a job took them from whose items are all of them.

    Not yet while an archive is being unpacked: by their names it is known what was taken; see :func:`forget_late`.
    """
    mine = and_(whose, Item.name != FORGOTTEN, ~_is_unpacked(Item.job_id))
    jobs = session.scalars(select(Item.job_id).where(mine).distinct()).all()
    session.execute(update(Item).where(mine).values(name=FORGOTTEN, detail=None))
    left = exists().where(Item.job_id == Job.id, Item.name != FORGOTTEN)
    for start in range(0, len(jobs), _AT_ONCE):
        some = Job.id.in_(jobs[start : start + _AT_ONCE])
        session.execute(update(Job).where(some, Job.source != "", ~left).values(source=FORGOTTEN))


def forget_late(session: Session) -> None:
    """:func:`forget_names` of items whose person was erased while an archive was being unpacked."""
    forget_names(session, and_(Item.labelled, Item.person_id.is_(None)))


def forget_answers(session: Session, public_ids: Some[str]) -> int:
    """Forget the answers kept for requests that are sent twice, where they speak of one of these ids. Returns how many."""
    forgotten, ids, text = 0, list(public_ids), cast(Request.answer, String)
    for start in range(0, len(ids), _AT_ONCE):
        speaks = or_(*(text.contains(each, autoescape=True) for each in ids[start : start + _AT_ONCE]))
        gone = update(Request).where(Request.answer.is_not(None), speaks).values(answer={"erased": True})
        forgotten += len(session.scalars(gone.returning(Request.idempotency_key)).all())
    return forgotten


def computed(session: Session, collection_id: int, before: float) -> list[str]:
    """Public ids of the jobs that computed with a collection's people and began before that time: their reports may show them."""
    mine = (Job.collection_id == collection_id, Job.created_at < before)
    wanted = select(Job.public_id).join(Computation, Computation.job_id == Job.id).where(*mine)
    return list(session.scalars(wanted.order_by(Job.id)))


def forget_reports(session: Session, collection_id: int, before: float) -> None:
    """Say of evaluations that began before that time that they have no report any more."""
    mine = (Evaluation.collection_id == collection_id, Evaluation.report_key.is_not(None))
    began = select(Job.id).where(Job.collection_id == collection_id, Job.created_at < before)
    session.execute(update(Evaluation).where(*mine, Evaluation.job_id.in_(began)).values(report_key=None))


class Archive(NamedTuple):
    """An archive that is still to be taken in."""

    collection_id: int
    created_at: float
    """When its job was."""


def archives(session: Session, public_ids: Some[str]) -> dict[str, Archive]:
    """Of jobs that have an archive in the photo store, those that need it still, by public id."""
    mine = (Job.public_id.in_(public_ids), Job.archive, ~Job.closed)
    rows = session.execute(select(Job.public_id, Job.collection_id, Job.created_at).where(*mine))
    return {row.public_id: Archive(row.collection_id, row.created_at) for row in rows}


def _is_unpacked(job_id: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Whether a job's archive is still being taken in."""
    job = aliased(Job)
    return exists().where(job.id == job_id, job.archive, ~job.closed)
