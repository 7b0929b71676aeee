"""Announcing: telling webhooks that a job has ended whose end follows from its items. Once for each end."""

from collections.abc import Sequence

from sqlalchemy import Select, and_, exists, or_, select
from sqlalchemy.orm import Session

from services.catalog import computations
from services.catalog.importing import jobs
from services.catalog.importing.jobs import UNFINISHED
from services.catalog.schema import UNTOLD, Computation, Item, Job
from services.catalog.telling import webhooks
from services.catalog.telling.webhooks import Ended


def ended(session: Session, limit: int) -> Sequence[int]:
    """Numbers of jobs that have ended and were not announced, oldest first."""
    return session.scalars(_ended().order_by(Job.id).limit(limit)).all()


def announce(session: Session, job_ids: Sequence[int]) -> int:
    """Tell of those of *job_ids* that have ended and that nobody has told of yet. Returns how many that were.

    A job that somebody is just adding photos to is passed over.
    """
    locked = select(Job.id).where(Job.id.in_(job_ids), UNTOLD).order_by(Job.id).with_for_update(skip_locked=True)
    ours = session.scalars(locked).all()
    found = session.scalars(_ended().with_only_columns(Job).where(Job.id.in_(ours)).order_by(Job.id)).all()
    for job in found:
        progress = jobs.progress(session, job)
        problem = None if progress.computation is None else progress.computation.problem
        counted = (progress.total, progress.done, progress.duplicate, progress.cancelled, progress.rejected)
        webhooks.job_ended(session, job, progress.state, Ended(*counted, progress.sequence), problem)
    return len(found)


def _ended() -> Select[int]:
    """An upload has its first items only when their bytes are safe: without any it has not begun."""
    pending = exists().where(Item.job_id == Job.id, Item.state.in_(UNFINISHED))
    begun = or_(Job.kind == "import", Job.cancelled, exists().where(Item.job_id == Job.id))
    by_items = and_(Job.kind.not_in(computations.KINDS), or_(Job.cancelled, Job.closed), ~pending, begun)
    computed = exists().where(Computation.job_id == Job.id, Computation.state.in_(computations.ENDS))
    return select(Job.id).where(UNTOLD, or_(by_items, computed))
