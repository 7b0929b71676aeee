"""Webhooks: addresses that are told what happens, and the telling: a row for each of them, in the transaction in which it happened.

How what is told gets there is :mod:`services.catalog.telling.deliveries` and :mod:`workers.delivering`.
"""

import base64
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, Job, Model, Person, new_id, now
from services.catalog.tables.rebuild import Rebuild
from services.catalog.tables.webhook import Delivery, Webhook
from services.errors import Conflict, InvalidRequest, NotFound

JOB_ENDED, REBUILD_STATE, LIVE_MATCH = "job.ended", "rebuild.state", "live.match"
EVENTS = (JOB_ENDED, REBUILD_STATE, LIVE_MATCH)
TEST = "webhook.test"
"""Sent when asked for, to the webhook that is to be tried."""

MOST = 50
"""Webhooks of one installation: each may keep a thread of whoever delivers waiting."""
MOST_MATCHES_WAITING = 10_000
"""So many matches wait for a webhook that does not answer; further ones are given up at once."""
PREFIX = "whsec_"
_SECRET_BYTES = 32


class Told(NamedTuple):
    """An event that happened."""

    event: str
    """Its public id."""
    webhooks: int
    """How many are to be told."""


class Ended(NamedTuple):
    """How a job ended, beside its state."""

    total: int = 0
    done: int = 0
    duplicate: int = 0
    cancelled: int = 0
    rejected: int = 0
    sequence: int | None = None
    """The log entry after which everything of it is found."""


def create(session: Session, url: str, events: Sequence[str], collection_id: int | None, *, by: str) -> Webhook:
    """A new webhook. Its ``secret`` is to be shown now and never again.

    Args:
        session: A writing transaction.
        url: Where events are sent; it was checked.
        events: Of :data:`EVENTS`, one or more.
        collection_id: Only what happens in this one; None: in all.
        by: Name of the key.

    Raises:
        InvalidRequest: There is no such kind of event.
        Conflict: There are too many webhooks.
    """
    if unknown := set(events) - set(EVENTS):
        raise InvalidRequest(f"There are no events {min(unknown)}. There are {', '.join(EVENTS)}.")
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST:
        raise Conflict(f"There are {MOST} webhooks, which is as many as there may be. Delete one first.")
    row = Webhook(
        public_id=new_id("whk"),
        collection_id=collection_id,
        url=url,
        secret=PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode(),
        events=[kind for kind in EVENTS if kind in events],
        created_by=by[:64],
    )
    session.add(row)
    session.flush()
    return row


def all_of(session: Session) -> Sequence[tuple[Webhook, Collection | None]]:
    """Every webhook with the collection it is about, oldest first."""
    rows = select(Webhook, Collection).outerjoin(Collection, Collection.id == Webhook.collection_id)
    return [(webhook, collection) for webhook, collection in session.execute(rows.order_by(Webhook.id))]


def by_public_id(session: Session, public_id: str) -> tuple[Webhook, Collection | None]:
    """The webhook of that id, with the collection it is about.

    Raises:
        NotFound: There is none.
    """
    rows = select(Webhook, Collection).outerjoin(Collection, Collection.id == Webhook.collection_id)
    found = session.execute(rows.where(Webhook.public_id == public_id)).one_or_none()
    if found is None:
        raise NotFound("webhook", public_id)
    return found[0], found[1]


def delete(session: Session, webhook: Webhook) -> None:
    """End a webhook; what it was still to be told goes with it."""
    session.delete(webhook)
    session.flush()


def try_out(session: Session, webhook: Webhook) -> str:
    """Have one event sent, once, to see whether it arrives. Returns the event's public id."""
    event = new_id("evt")
    about = None if webhook.collection_id is None else session.get_one(Collection, webhook.collection_id)
    data = {"webhook": webhook.public_id}
    _write(session, [webhook], event, TEST, event, about, data)
    return event


def job_ended(session: Session, job: Job, state: str, ended: Ended | None = None, problem: str | None = None) -> None:
    """Tell that a job came to its end, and note that it was told. The job's row is locked from here on.

    Args:
        session: A writing transaction.
        job: It has ended, and was not announced yet.
        state: ``done``, ``failed`` or ``cancelled``.
        ended: How many photos came to which end; None of a computation.
        problem: The type of the error that ended it.
    """
    job.announced = True
    session.flush()
    counted = (ended or Ended())._asdict()
    data = {"job": job.public_id, "kind": job.kind, "state": state, "problem": problem, **counted}
    tell(session, JOB_ENDED, job.collection_id, job.public_id, data)


def rebuild_moved(session: Session, rebuild: Rebuild) -> None:
    """Tell which state a rebuild is in now. Its row was written before, so that of two moves the first is told first."""
    model = session.get_one(Model, rebuild.model_id)
    data = {"rebuild": rebuild.public_id, "state": rebuild.state, "model": model.name, "problem": rebuild.problem}
    tell(session, REBUILD_STATE, rebuild.collection_id, rebuild.public_id, data)


def matched(session: Session, person: Person, camera: str, data: Mapping[str, Any]) -> Told:
    """Tell that a camera has recognised *person*. *data*: what is to be told beside who and where."""
    who = {"id": person.public_id, "name": person.name, "external_id": person.external_id}
    subject = f"{camera}/{person.public_id}"
    told = {"camera": camera, "person": who, **data}
    return tell(session, LIVE_MATCH, person.collection_id, subject, told, person=person)


def tell(
    session: Session,
    kind: str,
    collection_id: int,
    subject: str,
    data: Mapping[str, Any],
    *,
    person: Person | None = None,
) -> Told:
    """Write down an event for every webhook that wants to know of it. What is rolled back is not told.

    Args:
        session: The writing transaction in which it happened.
        kind: Of :data:`EVENTS`.
        collection_id: Where it happened.
        subject: What it happened to; events of one subject arrive in the order in which they are told.
        data: What there is to say; nothing personal but where *person* is given.
        person: Whom it tells of.
    """
    # Locked, so that none is deleted before the rows that name it are there: that would undo what happened.
    wanted = select(Webhook).where(or_(Webhook.collection_id.is_(None), Webhook.collection_id == collection_id))
    found = session.scalars(wanted.order_by(Webhook.id).with_for_update(read=True, key_share=True)).all()
    webhooks = [webhook for webhook in found if kind in webhook.events]
    event = new_id("evt")
    if webhooks:
        about = session.get_one(Collection, collection_id)
        _write(session, webhooks, event, kind, subject, about, data, person)
    return Told(event, len(webhooks))


def _write(
    session: Session,
    webhooks: Sequence[Webhook],
    event: str,
    kind: str,
    subject: str,
    about: Collection | None,
    data: Mapping[str, Any],
    person: Person | None = None,
) -> None:
    moment = session.scalar(select(now()))
    assert moment is not None
    body = {
        "id": event,
        "kind": kind,
        "created_at": datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds"),
        "collection": None if about is None else about.name,
        "subject": subject,
        "data": dict(data),
    }
    for webhook in webhooks:
        row = Delivery(
            webhook_id=webhook.id,
            event=event,
            kind=kind,
            subject=subject,
            person_id=None if person is None else person.id,
            body=body,
            created_at=moment,
            next_at=moment,
        )
        if kind == LIVE_MATCH and _matches_waiting(session, webhook) >= MOST_MATCHES_WAITING:
            row.state, row.finished_at, row.body = "given_up", moment, None
            row.error = f"{MOST_MATCHES_WAITING:,} matches wait for this webhook already."
        session.add(row)
    session.flush()


def _matches_waiting(session: Session, webhook: Webhook) -> int:
    mine = select(Delivery.id).where(
        Delivery.webhook_id == webhook.id, Delivery.state == "waiting", Delivery.kind == LIVE_MATCH
    )
    return session.scalar(select(func.count()).select_from(mine.limit(MOST_MATCHES_WAITING).subquery())) or 0
