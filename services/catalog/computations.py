"""Computations: jobs without items. One process at a time holds one, for as long as it renews its lease.

A message that is lost, doubled or late changes nothing: whoever claims one first computes it, and the sweep sends those
that nobody holds. A process that dies over one is counted; after three the computation ends as failed.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, Computation, Job, new_id, now
from services.catalog.telling import webhooks
from services.errors import ColegaError

TRAINING, EVALUATION, CALIBRATION, QUANTISATION = "training", "evaluation", "calibration", "quantisation"
COMPARISON = "comparison"
"""Of two generations of a collection; a rebuild asks for it."""
CHECK = "check"
"""Whether catalog, photo store and embeddings of a collection still agree."""
BACKUP = "backup"
"""Of all collections; its job is the oldest one's."""
KINDS = (TRAINING, EVALUATION, CALIBRATION, QUANTISATION, COMPARISON, CHECK, BACKUP)
ENDS = ("done", "failed", "cancelled")
DEATHS_AT_MOST = 3
QUEUE = "training"
_AWAY_S = 5.0
"""How long a computation that was given back rests."""


@dataclass(frozen=True, slots=True)
class Held:
    """A computation that is yours for now. The rows are read once and not attached."""

    job: Job
    computation: Computation
    collection: Collection
    by: str


def create(session: Session, collection_id: int, kind: str, parameters: Mapping[str, Any], *, source: str = "") -> Job:
    """A new job that computes; the caller commits, and then sends its number."""
    job = Job(public_id=new_id("job"), collection_id=collection_id, kind=kind, queue=QUEUE, source=source[:1024])
    session.add(job)
    session.flush()
    session.add(Computation(job_id=job.id, parameters=dict(parameters)))
    session.flush()
    return job


def of(session: Session, job: Job) -> Computation:
    """The computation of a job of one of these kinds."""
    return session.get_one(Computation, job.id, populate_existing=True)


def claim(session: Session, job_id: int, *, by: str, lease_s: float) -> Held | None:
    """Take a computation that nobody holds. None: it has ended, is gone, or is somebody else's.

    Args:
        session: A writing transaction, committed before any work starts.
        job_id: Of a job.
        by: Who takes it, as ``host:pid``.
        lease_s: How long it is yours.
    """
    found = session.get(Computation, job_id, with_for_update=True, populate_existing=True)
    if found is None or found.state in ENDS:
        return None
    moment = session.scalar(select(now()))
    assert moment is not None
    if found.holder is not None:
        if found.holder != by and (found.lease_expires_at or 0.0) >= moment:
            return None
        _count_death(session, found)
        if found.state in ENDS:
            return None
    found.state, found.holder, found.lease_expires_at = "running", by, moment + lease_s
    found.started_at = found.started_at or moment
    session.flush()
    job = session.get_one(Job, job_id)
    return Held(job, found, session.get_one(Collection, job.collection_id), by)


def renew(session: Session, held: Held, lease_s: float, progress: Mapping[str, Any] | None = None) -> bool:
    """Keep a computation for *lease_s* more, and note how far it is. False: it was cancelled, or is somebody else's."""
    values: dict[str, Any] = {"lease_expires_at": now() + lease_s}
    if progress is not None:
        values["progress"] = dict(progress)
    return session.scalar(_mine(held).values(**values).returning(Computation.job_id)) is not None


def finish(session: Session, held: Held, result: Mapping[str, Any]) -> bool:
    """End a computation as done. False: it is no longer yours; throw away what was computed."""
    ended = _mine(held).values(state="done", result=dict(result), holder=None, finished_at=now())
    if session.scalar(ended.returning(Computation.job_id)) is None:
        return False
    webhooks.job_ended(session, session.get_one(Job, held.job.id), "done")
    return True


def note(session: Session, held: Held, more: Mapping[str, Any]) -> None:
    """Add to the result of a computation that ended in this transaction."""
    row = of(session, held.job)
    row.result = {**(row.result or {}), **more}
    session.flush()


def fail(session: Session, held: Held, error: str, problem: str) -> bool:
    """End a computation as failed: a sentence, and the type of the problem. False: it is no longer yours."""
    ended = _mine(held).values(state="failed", problem=problem, holder=None, finished_at=now())
    if session.scalar(ended.returning(Computation.job_id)) is None:
        return False
    job = session.get_one(Job, held.job.id)
    job.error = error[:1024]
    webhooks.job_ended(session, job, "failed", problem=problem)
    return True


def put_back(session: Session, held: Held) -> None:
    """Give a computation back: its process was asked to end, or what it needs is away. In a while it is sent again."""
    session.execute(_mine(held).values(state="queued", holder=None, lease_expires_at=now() + _AWAY_S))


def cancel(session: Session, job: Job) -> None:
    """End a computation that has not ended; who computes it is told at the next renewal."""
    pending = update(Computation).where(Computation.job_id == job.id, Computation.state.not_in(ENDS))
    if session.scalar(pending.values(state="cancelled", holder=None, finished_at=now()).returning(Computation.job_id)):
        job.cancelled = True
        webhooks.job_ended(session, job, "cancelled")


def retry(session: Session, job: Job) -> bool:
    """Have a failed or cancelled computation done again. False: it has not ended so."""
    ended = update(Computation).where(Computation.job_id == job.id, Computation.state.in_(("failed", "cancelled")))
    again = {"state": "queued", "problem": None, "deaths": 0, "holder": None, "finished_at": None}
    if session.scalar(ended.values(**again, lease_expires_at=None).returning(Computation.job_id)) is None:
        return False
    job.cancelled, job.error, job.announced = False, None, False
    session.flush()
    return True


def release_dead(session: Session, host: str, alive: Sequence[str]) -> None:
    """Free at once what processes of *host* held that no longer run. *alive*: the holders that do."""
    held = select(Computation).where(
        Computation.state == "running",
        Computation.holder.like(f"{host}:%"),
        Computation.holder.not_in(alive),
    )
    for computation in session.scalars(held.with_for_update(skip_locked=True)):
        _count_death(session, computation)
    session.flush()


def holders(session: Session, host: str) -> list[str]:
    """Who on *host* holds computations now."""
    held = select(Computation.holder).where(Computation.state == "running", Computation.holder.like(f"{host}:%"))
    return [by for by in session.scalars(held.distinct()) if by is not None]


def lost(session: Session, *, unclaimed_for_s: float) -> list[int]:
    """Jobs to be sent again: their lease has expired, or nobody has taken them for *unclaimed_for_s*."""
    unclaimed = and_(Computation.lease_expires_at.is_(None), Job.created_at < now() - unclaimed_for_s)
    rows = (
        select(Job.id)
        .join(Computation, Computation.job_id == Job.id)
        .where(Computation.state.in_(("queued", "running")), or_(Computation.lease_expires_at < now(), unclaimed))
    )
    return list(session.scalars(rows.order_by(Job.id)))


def resumable(session: Session, public_ids: AbstractSet[str], *, failed_within_s: float) -> set[str]:
    """Those of the jobs that may yet be gone on with: they have not ended, or failed a while ago and can be retried."""
    open_or_failed = or_(
        Computation.state.in_(("queued", "running")),
        and_(Computation.state == "failed", Computation.finished_at > now() - failed_within_s),
    )
    joined = select(Job.public_id).join(Computation, Computation.job_id == Job.id)
    return set(session.scalars(joined.where(Job.public_id.in_(public_ids), open_or_failed)))


def unfinished(session: Session) -> list[tuple[Job, Computation, Collection]]:
    """What is being computed or waits to be, oldest first."""
    rows = session.execute(
        select(Job, Computation, Collection)
        .join(Computation, Computation.job_id == Job.id)
        .join(Collection, Collection.id == Job.collection_id)
        .where(Computation.state.in_(("queued", "running")))
        .order_by(Job.id)
    )
    return [(job, computation, collection) for job, computation, collection in rows]


def _mine(held: Held) -> Any:  # noqa: ANN401 - an UPDATE, whose type names its columns
    return update(Computation).where(
        Computation.job_id == held.job.id, Computation.holder == held.by, Computation.state == "running"
    )


def _count_death(session: Session, computation: Computation) -> None:
    """Free a computation whose process has died; end it where that was the third."""
    moment = session.scalar(select(now()))
    computation.deaths += 1
    computation.holder, computation.lease_expires_at = None, moment
    if computation.deaths < DEATHS_AT_MOST:
        computation.state = "queued"
        return
    computation.state, computation.problem, computation.finished_at = "failed", ColegaError.type, moment
    job = session.get_one(Job, computation.job_id)
    job.error = (
        f"The process died {DEATHS_AT_MOST} times over it. See the log of the training worker; memory may be short."
    )
    webhooks.job_ended(session, job, "failed", problem=computation.problem)
