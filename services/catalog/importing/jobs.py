"""Jobs: what was asked, its items, and how far it got. A job's state follows from its items, or is its computation's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from services.catalog import computations
from services.catalog.schema import Computation, Item, Job, Person, Photo, new_id, now
from services.errors import Conflict, NotFound
from services.rejections import Rejection

UNFINISHED = ("queued", "waiting")
ENDS = ("done", "failed", "cancelled")
"""The states that a job does not leave by itself."""
_RATE_OVER_S = 20.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job got."""

    state: str
    """``open`` (more may be added), ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``."""
    total: int
    received: int
    """How many of them have come in."""
    done: int
    duplicate: int
    cancelled: int
    rejected: int
    rate: float | None
    """Items a second, over the last seconds; None before there is anything to count."""
    eta_s: float | None
    sequence: int | None
    """The log entry after which everything that ended so far is found."""
    finished_at: float | None
    computation: Computation | None = None
    """Of a job that computes; it has no items."""

    @property
    def ended(self) -> int:
        """How many items have come to one of the four ends."""
        return self.done + self.duplicate + self.cancelled + self.rejected


def create(
    session: Session,
    collection_id: int,
    *,
    kind: str,
    queue: str,
    source: str = "",
    faces: str = "largest",
    closed: bool = True,
    expected: int | None = None,
) -> Job:
    """A new job without items; an open one waits for :func:`close`."""
    job = Job(
        public_id=new_id("job"),
        collection_id=collection_id,
        kind=kind,
        queue=queue,
        source=source[:1024],
        faces=faces,
        closed=closed,
        expected=expected,
    )
    session.add(job)
    session.flush()
    return job


def by_public_id(session: Session, collection_id: int, public_id: str) -> Job:
    """The job of that id.

    Raises:
        NotFound: There is none in this collection.
    """
    found = session.scalar(select(Job).where(Job.collection_id == collection_id, Job.public_id == public_id))
    if found is None:
        raise NotFound("job", public_id)
    return found


def page(
    session: Session, collection_id: int, *, limit: int, before: int | None = None, kinds: Sequence[str] = ()
) -> Sequence[Job]:
    """Jobs (of these *kinds*; none are all), newest first, at most *limit*, older than job number *before*."""
    wanted = select(Job).where(Job.collection_id == collection_id)
    if kinds:
        wanted = wanted.where(Job.kind.in_(kinds))
    if before is not None:
        wanted = wanted.where(Job.id < before)
    return session.scalars(wanted.order_by(Job.id.desc()).limit(limit)).all()


def add_item(
    session: Session,
    job: Job,
    name: str,
    *,
    photo: Photo | None = None,
    person: Person | None = None,
    state: str = "queued",
    reason: Rejection | None = None,
    detail: str | None = None,
) -> Item:
    """A new item. One that is given in an end state (``rejected``, ``duplicate``) has ended.

    Raises:
        Conflict: The job was closed or cancelled.
    """
    item = Item(
        job_id=job.id,
        name=name[:1024],
        photo_id=None if photo is None else photo.id,
        person_id=None if person is None else person.id,
        labelled=person is not None,
        state=state,
        reason=None if reason is None else reason.value,
        detail=None if detail is None else detail[:1024],
        finished_at=None if state in UNFINISHED else now(),
    )
    session.add(item)
    job.announced = False
    session.flush()
    return item


def open_for_items(job: Job) -> None:
    """See that items may still be added; *job* was read under a lock.

    Raises:
        Conflict: The job was cancelled, or an import was closed.
    """
    if job.cancelled or (job.kind == "import" and job.closed):
        raise Conflict(f"Job {job.public_id} takes no more photos: it was closed. Open a new import.")


def close(session: Session, job: Job) -> None:
    """Say that all was sent. Closing twice is fine."""
    job.closed = True
    session.flush()


def to_unpack(session: Session, *, older_than_s: float) -> list[int]:
    """Imports whose archive was taken and not unpacked to its end; who does it now holds a lease."""
    waiting = select(Job.id).where(Job.archive, Job.closed.is_(False), Job.created_at < now() - older_than_s)
    return list(session.scalars(waiting.order_by(Job.id)))


def cancel(session: Session, job: Job) -> int:
    """End what has not ended, and close the job. Returns how many items that were.

    Items that a worker holds end with it: its claim is void from now on. So does a computation.
    """
    if job.kind in computations.KINDS:
        computations.cancel(session, job)
        return 0
    job.closed = True
    job.cancelled = True
    session.flush()
    pending = update(Item).where(Item.job_id == job.id, Item.state.in_(UNFINISHED))
    ended = session.scalars(pending.values(state="cancelled", claim=None, finished_at=now()).returning(Item.id)).all()
    return len(ended)


def retry(session: Session, job: Job, photo: Photo | None = None, **said: Any) -> list[int]:  # noqa: ANN401 - columns
    """Put rejected and cancelled items that still have their photo back to work. Returns their numbers, to be queued.

    Of *photo* alone, where one is given. *said* is what is known by now, by column: ``person_id``, ``labelled``, ``box``.
    """
    ended = select(Item.id, Item.photo_id).where(
        Item.job_id == job.id, Item.state.in_(("rejected", "cancelled")), Item.photo_id.is_not(None)
    )
    if photo is not None:
        ended = ended.where(Item.photo_id == photo.id)
    rows = session.execute(ended).all()
    ids = [row.id for row in rows]
    again = {"state": "queued", "reason": None, "detail": None, "finished_at": None, "claim": None, **said}
    session.execute(update(Item).where(Item.id.in_(ids)).values(**again, attempts=0, attempts_alone=0))
    photo_ids = [row.photo_id for row in rows]
    undone = update(Photo).where(Photo.id.in_(photo_ids), Photo.state == "rejected")
    session.execute(undone.values(state="queued", reason=None))
    job.cancelled = False
    session.flush()
    if ids:  # Written whatever was read: its end may be being announced at this moment.
        session.execute(update(Job).where(Job.id == job.id).values(announced=False))
    return ids


def progress(session: Session, job: Job) -> Progress:
    """How far *job* is, counted now."""
    if job.kind in computations.KINDS:
        return _computed(computations.of(session, job))
    rows = session.execute(
        select(Item.state, func.count(), func.max(Item.sequence), func.max(Item.finished_at))
        .where(Item.job_id == job.id)
        .group_by(Item.state)
    ).all()
    counted = {state: count for state, count, *_ in rows}
    pending = sum(counted.get(state, 0) for state in UNFINISHED)
    total = max(sum(counted.values()), 0 if job.closed else job.expected or 0)
    state = "cancelled" if job.cancelled else "open" if not job.closed else "running" if pending else "done"
    rate = _rate(session, job) if pending else None
    left = total - (sum(counted.values()) - pending)
    return Progress(
        state=state,
        total=total,
        received=sum(counted.values()),
        done=counted.get("done", 0),
        duplicate=counted.get("duplicate", 0),
        cancelled=counted.get("cancelled", 0),
        rejected=counted.get("rejected", 0),
        rate=rate,
        eta_s=left / rate if rate else None,
        sequence=max((row[2] for row in rows if row[2] is not None), default=None),
        finished_at=max((row[3] for row in rows if row[3] is not None), default=None) if not pending else None,
    )


def items(
    session: Session,
    job: Job,
    *,
    state: str | None = None,
    reason: str | None = None,
    limit: int = 100,
    after: int = 0,
) -> list[tuple[Item, Photo | None, Person | None]]:
    """Items in the order they were added, after item number *after*; ``queued`` are also those that wait."""
    wanted = (
        select(Item, Photo, Person)
        .outerjoin(Photo, Photo.id == Item.photo_id)
        .outerjoin(Person, Person.id == Item.person_id)
        .where(Item.job_id == job.id, Item.id > after)
    )
    if state:
        wanted = wanted.where(Item.state.in_(UNFINISHED if state == "queued" else (state,)))
    if reason:
        wanted = wanted.where(Item.reason == reason)
    return list(session.execute(wanted.order_by(Item.id).limit(limit)))


def finished_since(
    session: Session, job: Job, after: tuple[float, int], limit: int
) -> list[tuple[Item, Photo | None, Person | None]]:
    """Items by the time they ended, after a (finished_at, id): what an event stream goes on from."""
    wanted = (
        select(Item, Photo, Person)
        .outerjoin(Photo, Photo.id == Item.photo_id)
        .outerjoin(Person, Person.id == Item.person_id)
        .where(Item.job_id == job.id, Item.finished_at.is_not(None))
        .where(tuple_(Item.finished_at, Item.id) > after)
    )
    return list(session.execute(wanted.order_by(Item.finished_at, Item.id).limit(limit)))


def rejected_by_reason(session: Session) -> dict[str, int]:
    """How many items were ever rejected for each reason."""
    rows = session.execute(
        select(Item.reason, func.count())
        .where(Item.state == "rejected", Item.reason.is_not(None))
        .group_by(Item.reason)
    )
    return {reason: count for reason, count in rows if reason is not None}


def _computed(computation: Computation) -> Progress:
    left = (computation.progress or {}).get("eta_s") if computation.state == "running" else None
    return Progress(
        state=computation.state,
        total=0,
        received=0,
        done=0,
        duplicate=0,
        cancelled=0,
        rejected=0,
        rate=None,
        eta_s=left,
        sequence=None,
        finished_at=computation.finished_at,
        computation=computation,
    )


def _rate(session: Session, job: Job) -> float | None:
    since = or_(Item.finished_at > now() - _RATE_OVER_S, Item.finished_at.is_(None))
    row = session.execute(
        select(func.count(Item.finished_at), func.min(Item.finished_at), now()).where(Item.job_id == job.id, since)
    ).one()
    count, first, moment = row
    if not count or first is None or moment - first < 0.5:
        return None
    return float(count / (moment - first))
