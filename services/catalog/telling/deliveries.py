"""Deliveries: what is on its way to webhooks. Of one subject the next is due only when the one before has ended.

Whoever delivers claims some for a while, sends them outside any transaction, and writes down how that went. A claim that runs
out, because its process died, makes the delivery due again: each arrives at least once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import now
from services.catalog.tables.webhook import Delivery, Webhook
from services.catalog.telling.webhooks import LIVE_MATCH

WAITING, DELIVERED, GIVEN_UP = "waiting", "delivered", "given_up"
KEPT_S = 7 * 86_400.0
"""So long it can be seen how deliveries ended."""
_PRUNED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is yours for now."""

    id: int
    webhook_id: int
    webhook: str
    """Public id."""
    url: str
    secret: str
    event: str
    kind: str
    body: dict[str, Any]
    attempts: int
    """This one included."""
    age_s: float
    """Since it happened."""


def numbers(session: Session) -> list[int]:
    """The numbers of all webhooks, oldest first."""
    return list(session.scalars(select(Webhook.id).order_by(Webhook.id)))


def due(session: Session, webhook_id: int, limit: int) -> list[int]:
    """Numbers of deliveries that may be sent to a webhook now, those first that have been due for longest.

    Of each subject that is the oldest that waits, and none while that one is not due.
    """
    mine = (Delivery.webhook_id == webhook_id, Delivery.state == WAITING)
    first = select(func.min(Delivery.id)).where(*mine).group_by(Delivery.subject)
    wanted = select(Delivery.id).where(Delivery.id.in_(first), Delivery.next_at <= now())
    return list(session.scalars(wanted.order_by(Delivery.next_at, Delivery.id).limit(limit)))


def claim(session: Session, ids: Sequence[int], by: str, for_s: float) -> list[Claimed]:
    """Take those of *ids* that are still due, for *for_s* seconds; a webhook that is gone has taken its own along.

    *by*: who takes them, as ``host:pid``.
    """
    mine = update(Delivery).where(Delivery.id.in_(ids), Delivery.state == WAITING, Delivery.next_at <= now())
    claimed = {"next_at": now() + for_s, "attempts": Delivery.attempts + 1, "claimed_by": by}
    taken = mine.values(claimed).returning(Delivery.id)
    rows = session.execute(
        select(Delivery, Webhook, now() - Delivery.created_at)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id.in_(session.scalars(taken).all()))
        .order_by(Delivery.id)
        .execution_options(populate_existing=True)
    )
    return [
        Claimed(
            row.id,
            webhook.id,
            webhook.public_id,
            webhook.url,
            webhook.secret,
            row.event,
            row.kind,
            row.body or {},
            row.attempts,
            age_s,
        )
        for row, webhook, age_s in rows
    ]


def claimants(session: Session, host: str) -> list[str]:
    """Who on *host* holds claims."""
    held = select(Delivery.claimed_by).where(Delivery.state == WAITING, Delivery.claimed_by.like(f"{host}:%"))
    return [by for by in session.scalars(held.distinct()) if by is not None]


def release_dead(session: Session, host: str, alive: Sequence[str]) -> None:
    """Make due at once what processes of *host* held that no longer run. *alive*: the claimants that do."""
    held = update(Delivery).where(
        Delivery.state == WAITING, Delivery.claimed_by.like(f"{host}:%"), Delivery.claimed_by.not_in(alive)
    )
    session.execute(held.values(claimed_by=None, next_at=now()))


def delivered(session: Session, one: Claimed, status: int) -> None:
    """It has arrived. That counts even where the claim has run out meanwhile."""
    waiting = update(Delivery).where(Delivery.id == one.id, Delivery.state == WAITING)
    ended = {"state": DELIVERED, "status": status, "error": None, "claimed_by": None, "finished_at": now()}
    session.execute(waiting.values(ended))
    _forget_body(session, one)


def postpone(session: Session, one: Claimed, status: int | None, error: str, wait_s: float) -> None:
    """It has not arrived; it is due again in *wait_s* seconds."""
    session.execute(_mine(one).values(status=status, error=error[:300], claimed_by=None, next_at=now() + wait_s))


def give_up(session: Session, one: Claimed, status: int | None, error: str) -> None:
    """It has not arrived, and is not tried again; what happened to its subject since goes on."""
    ended = {"state": GIVEN_UP, "status": status, "error": error[:300], "claimed_by": None, "finished_at": now()}
    session.execute(_mine(one).values(ended))
    _forget_body(session, one)


def page(
    session: Session, webhook: Webhook, *, limit: int, before: int | None = None, state: str | None = None
) -> Sequence[Delivery]:
    """What a webhook was told and is to be told, newest first, at most *limit*, older than number *before*."""
    wanted = select(Delivery).where(Delivery.webhook_id == webhook.id)
    if before is not None:
        wanted = wanted.where(Delivery.id < before)
    if state is not None:
        wanted = wanted.where(Delivery.state == state)
    return session.scalars(wanted.order_by(Delivery.id.desc()).limit(limit)).all()


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are."""

    waiting: int
    failing: int
    """Of those that wait: tried, and not arrived."""
    given_up: int
    """In the last seven days."""


def counts(session: Session) -> dict[int, Counted]:
    """How many wait and were given up, by number of the webhook; one with neither is left out."""
    waits = Delivery.state == WAITING
    rows = session.execute(
        select(
            Delivery.webhook_id,
            func.count().filter(waits),
            func.count().filter(waits, Delivery.error.is_not(None)),
            func.count().filter(Delivery.state == GIVEN_UP),
        )
        .where(Delivery.state.in_((WAITING, GIVEN_UP)))
        .group_by(Delivery.webhook_id)
    )
    return {webhook_id: Counted(waiting, failing, given_up) for webhook_id, waiting, failing, given_up in rows}


def prune(session: Session) -> None:
    """Forget deliveries that ended more than a week ago."""
    old = select(Delivery.id).where(Delivery.finished_at < now() - KEPT_S).limit(_PRUNED_AT_ONCE)
    session.execute(sql_delete(Delivery).where(Delivery.id.in_(old)))


def _mine(one: Claimed) -> Any:  # noqa: ANN401 - an UPDATE, whose type names its columns
    """A later attempt, of somebody who found the claim run out, is not touched."""
    return update(Delivery).where(Delivery.id == one.id, Delivery.state == WAITING, Delivery.attempts == one.attempts)


def _forget_body(session: Session, one: Claimed) -> None:
    """What tells of a person is kept no longer than it is needed."""
    if one.kind == LIVE_MATCH:
        session.execute(update(Delivery).where(Delivery.id == one.id, Delivery.state != WAITING).values(body=None))
