"""What is watched: counts and ages over all collections, for metrics."""

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.catalog.importing.jobs import UNFINISHED
from services.catalog.rebuilding.rebuilds import UNDER_WAY
from services.catalog.schema import Item, Job, Removal, now
from services.catalog.tables.backup import Backup
from services.catalog.tables.console import ConsoleSession
from services.catalog.tables.privacy import Erasure
from services.catalog.tables.rebuild import Rebuild


class Waiting(NamedTuple):
    """Photos of a queue that have not ended."""

    queue: str
    items: int
    oldest_s: float


class Erasures(NamedTuple):
    """People who are being erased."""

    open: int
    overdue: int


def waiting(session: Session) -> list[Waiting]:
    """By queue; nothing of queues where nothing waits."""
    rows = session.execute(
        select(Job.queue, func.count(), now() - func.min(Item.created_at))
        .join(Job, Job.id == Item.job_id)
        .where(Item.state.in_(UNFINISHED))
        .group_by(Job.queue)
        .order_by(Job.queue)
    )
    return [Waiting(queue, items, max(oldest_s, 0.0)) for queue, items, oldest_s in rows]


def rebuilds(session: Session) -> dict[str, int]:
    """How many rebuilds are in each state, of those that have not ended."""
    counted = select(Rebuild.state, func.count()).where(Rebuild.state.in_(UNDER_WAY)).group_by(Rebuild.state)
    return dict(session.execute(counted).all())


def sessions(session: Session) -> int:
    """Sessions of the console that have not run out."""
    return session.scalar(select(func.count()).where(ConsoleSession.expires_at > now())) or 0


def erasures(session: Session) -> Erasures:
    """Those that are not closed, and of them those past their time."""
    is_open = Erasure.closed_at.is_(None)
    counted = select(func.count(), func.count().filter(Erasure.due_at < now())).where(is_open)
    return Erasures(*session.execute(counted).one())


def backup_age_s(session: Session) -> float | None:
    """Since the youngest backup began; None before the first."""
    return session.scalar(select(now() - func.max(Backup.began_at)))


def removals(session: Session) -> int:
    """Objects that are still to be deleted."""
    return session.scalar(select(func.count()).select_from(Removal)) or 0
