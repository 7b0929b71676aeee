"""Claims: who works on an item until when. A message that is lost, doubled or late changes nothing.

An attempt is counted before work starts. An item with an attempt behind it is processed alone; only one that was
alone three times when its worker died is rejected as ``crashed_worker``: one killer photo does not take its
neighbours with it.
"""

import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from services.catalog.schema import Collection, Item, Job, Person, Photo, now
from services.rejections import Rejection

ALONE_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class Work:
    """An item that is yours for now, with all that its work needs. The rows are read once and not attached."""

    item: Item
    photo: Photo
    person: Person | None
    job: Job
    collection: Collection
    claim: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim brought."""

    work: list[Work]
    alone: list[int]
    """Items with an attempt behind them: send each in a message of its own."""
    ended: list[int]
    """Items that ended here: crashed too often, or without a photo."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an item ends: ``done``, ``duplicate`` or ``rejected``."""

    state: str
    reason: Rejection | None = None
    detail: str | None = None
    faces: int | None = None
    sequence: int | None = None


def claim(session: Session, item_ids: Sequence[int], *, by: str, lease_s: float) -> Claimed:
    """Take the items that nobody works on. Those whose claim has expired are free again.

    Args:
        session: A writing transaction, committed before any work starts.
        item_ids: Items of any collection; ended and unknown ones are passed over.
        by: Who takes them, as ``host:pid``.
        lease_s: How long they are yours.
    """
    free = or_(Item.claim.is_(None), Item.claim_expires_at < now())
    rows = session.execute(
        select(Item.id, Item.attempts, Item.attempts_alone, Item.photo_id)
        .where(Item.id.in_(item_ids), Item.state == "queued", free)
        .order_by(Item.id)
        .with_for_update(skip_locked=True)
    ).all()
    alone = len(item_ids) == 1
    crashed = [row.id for row in rows if row.attempts_alone >= ALONE_AT_MOST]
    bare = [row.id for row in rows if row.photo_id is None]
    again = [] if alone else [row.id for row in rows if row.attempts and row.id not in crashed]
    _end(session, crashed, Rejection.CRASHED_WORKER, "The worker died three times on this photo alone.")
    _end(session, bare, Rejection.MISSING_OBJECT, "The photo was deleted before it was processed.")
    mine = [row.id for row in rows if row.id not in {*crashed, *bare, *again}]
    token = secrets.token_hex(16)
    if mine:
        session.execute(
            update(Item)
            .where(Item.id.in_(mine))
            .values(
                claim=token,
                claimed_by=by,
                claim_expires_at=now() + lease_s,
                attempts=Item.attempts + 1,
                attempts_alone=Item.attempts_alone + int(alone),
            )
        )
    found = session.execute(
        select(Item, Photo, Person, Job, Collection)
        .join(Photo, Photo.id == Item.photo_id)
        .join(Job, Job.id == Item.job_id)
        .join(Collection, Collection.id == Job.collection_id)
        .outerjoin(Person, Person.id == Item.person_id)
        .where(Item.id.in_(mine))
        .order_by(Item.id)
        .execution_options(populate_existing=True)
    )
    work = [Work(item, photo, person, job, collection, token) for item, photo, person, job, collection in found]
    return Claimed(work, again, crashed + bare)


def renew(session: Session, work: Sequence[Work], lease_s: float) -> None:
    """Keep items for *lease_s* more."""
    mine = update(Item).where(Item.id.in_([w.item.id for w in work]), Item.claim.in_({w.claim for w in work}))
    session.execute(mine.values(claim_expires_at=now() + lease_s))


def finish(session: Session, ends: Sequence[tuple[Work, Outcome]]) -> set[int]:
    """End items: one statement for all that end alike.

    Returns:
        The items that have ended. The claims of others are somebody else's by now: throw away what was computed.
    """
    alike: dict[tuple[str, Outcome], list[int]] = defaultdict(list)
    for work, outcome in ends:
        alike[work.claim, outcome].append(work.item.id)
    ended: set[int] = set()
    for (claim, outcome), item_ids in alike.items():
        mine = update(Item).where(Item.id.in_(item_ids), Item.claim == claim, Item.state == "queued")
        ending = mine.values(
            state=outcome.state,
            reason=None if outcome.reason is None else outcome.reason.value,
            detail=None if outcome.detail is None else outcome.detail[:1024],
            faces=outcome.faces,
            sequence=outcome.sequence,
            claim=None,
            finished_at=now(),
        )
        ended.update(session.scalars(ending.returning(Item.id)))
    return ended


def stamp(session: Session, item_ids: Sequence[int], sequence: int) -> list[float]:
    """Note after which log entry the faces of items that ended in this transaction are found.

    Returns:
        How long ago those had come in that are done, in seconds.
    """
    stamped = update(Item).where(Item.id.in_(item_ids)).values(sequence=sequence)
    rows = session.execute(stamped.returning(Item.state, now() - Item.created_at))
    return [age_s for state, age_s in rows if state == "done"]


def put_back(session: Session, work: Sequence[Work]) -> None:
    """Give items back untouched, as if never claimed: what they needed (store, catalog) was missing."""
    mine = update(Item).where(Item.id.in_([w.item.id for w in work]), Item.claim.in_({w.claim for w in work}))
    session.execute(mine.values(claim=None, claimed_by=None, claim_expires_at=None, attempts=0, attempts_alone=0))


def wait_for_content(session: Session, work: Work) -> bool:
    """Let an item wait for another one with the same bytes. False: the claim is somebody else's."""
    mine = update(Item).where(Item.id == work.item.id, Item.claim == work.claim, Item.state == "queued")
    waits = mine.values(state="waiting", claim=None, attempts=0, attempts_alone=0)
    return session.scalar(waits.returning(Item.id)) is not None


def wake(session: Session, *photo_ids: int) -> list[int]:
    """Items that waited for these photos, which have ended: to be worked on now, or rather answered."""
    waiting = update(Item).where(Item.photo_id.in_(photo_ids), Item.state == "waiting")
    return list(session.scalars(waiting.values(state="queued").returning(Item.id)))


def release_dead(session: Session, host: str, alive: Sequence[str]) -> list[int]:
    """Free at once what processes of *host* held that no longer run. *alive*: the claimants that do."""
    held = update(Item).where(
        Item.state == "queued",
        Item.claim.is_not(None),
        Item.claimed_by.like(f"{host}:%"),
        Item.claimed_by.not_in(alive),
    )
    return list(session.scalars(held.values(claim=None).returning(Item.id)))


def claimants(session: Session, host: str) -> list[str]:
    """Who on *host* holds claims now."""
    held = select(Item.claimed_by).where(
        Item.state == "queued", Item.claim.is_not(None), Item.claimed_by.like(f"{host}:%")
    )
    return [by for by in session.scalars(held.distinct()) if by is not None]


def sweep(session: Session, limit: int, *, unclaimed_for_s: float) -> dict[str, list[int]]:
    """Items to be queued again, by queue: their claim expired, or nobody claimed them for *unclaimed_for_s*.

    Waiting items whose photo is no longer under way, or whose forerunner was cancelled, go back to work here too.
    """
    forerunner = aliased(Item)
    worked = select(forerunner.id).where(forerunner.photo_id == Item.photo_id, forerunner.state == "queued")
    orphaned = select(Item.id).where(Item.state == "waiting", ~worked.exists())
    # One of each photo is enough: it wakes the others when it ends.
    first: dict[int | None, int] = {}
    for item_id, photo_id in session.execute(
        select(Item.id, Item.photo_id).where(Item.id.in_(orphaned)).order_by(Item.id).limit(limit)
    ):
        first.setdefault(photo_id, item_id)
    session.execute(update(Item).where(Item.id.in_(first.values())).values(state="queued", claim=None))
    lost = or_(
        and_(Item.claim.is_not(None), Item.claim_expires_at < now()),
        and_(Item.claim.is_(None), Item.created_at < now() - unclaimed_for_s),
        and_(Item.claim.is_(None), Item.created_at > now()),  # The clock was set back.
    )
    rows = session.execute(
        select(Item.id, Job.queue)
        .join(Job, Job.id == Item.job_id)
        .where(Item.state == "queued", lost)
        .order_by(Item.id)
        .limit(limit)
    )
    found: dict[str, list[int]] = defaultdict(list)
    for item_id, queue in rows:
        found[queue].append(item_id)
    return dict(found)


def pending(session: Session) -> dict[str, int]:
    """How many items are queued or claimed, by queue."""
    counted = (
        select(Job.queue, func.count())
        .join(Item, Item.job_id == Job.id)
        .where(Item.state == "queued")
        .group_by(Job.queue)
    )
    return dict(session.execute(counted).all())


def _end(session: Session, item_ids: Sequence[int], reason: Rejection, detail: str) -> None:
    if item_ids:
        ended = update(Item).where(Item.id.in_(item_ids), Item.state == "queued")
        session.execute(
            ended.values(state="rejected", reason=reason.value, detail=detail, claim=None, finished_at=now())
        )
        photos = select(Item.photo_id).where(Item.id.in_(item_ids), Item.photo_id.is_not(None))
        undone = update(Photo).where(Photo.id.in_(photos), Photo.state == "queued")
        session.execute(undone.values(state="rejected", reason=reason.value))
