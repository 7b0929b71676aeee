"""Who runs, and leases: what one process at a time may do."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, delete, or_, select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import now
from services.catalog.tables.process import Lease, Process

_ROUNDING_S = 1.0
_SURE_WITHIN_S = 0.5

ALIVE_WITHIN_S = 15.0
"""A process that was not seen for longer is taken for gone."""


def beat(session: Session, process_id: str, *, kind: str, host: str, pid: int, details: Mapping[str, Any]) -> None:
    """Say that a process runs, and what there is to say about it; every few seconds."""
    row = upsert(session, Process).values(id=process_id, kind=kind, host=host, pid=pid, details=dict(details))
    session.execute(
        row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now(), "details": dict(details), "pid": pid})
    )


def clock_off_s(session: Session) -> float | None:
    """How far this machine's clock is ahead of the catalog's; None where asking took too long to tell."""
    session.execute(select(1))  # Whoever writes may have to wait at first.
    asked_at = time.time()
    catalogs: float = session.execute(select(now())).scalar_one()
    answered_at = time.time()
    return (asked_at + answered_at) / 2 - catalogs if 0 <= answered_at - asked_at < _SURE_WITHIN_S else None


def gone(session: Session, process_id: str) -> None:
    """Forget a process that ends."""
    session.execute(delete(Process).where(Process.id == process_id))


def running(session: Session, *, within_s: float = ALIVE_WITHIN_S) -> Sequence[Process]:
    """The processes seen within *within_s*, by kind. Who was seen in the future was seen by a clock that was set back since."""
    return session.scalars(select(Process).where(_is_alive(within_s)).order_by(Process.kind, Process.id)).all()


def _is_alive(within_s: float) -> ColumnElement[bool]:
    return and_(Process.seen_at > now() - within_s, Process.seen_at < now() + within_s)


class Seen(NamedTuple):
    """A process that was not forgotten yet."""

    process: Process
    is_running: bool
    """Whether it was seen a moment ago. One that says goodbye is forgotten at once."""


def seen(session: Session, kind: str) -> list[Seen]:
    """The processes of a kind that were not forgotten, those that have died without a word among them."""
    rows = session.execute(select(Process, _is_alive(ALIVE_WITHIN_S)).where(Process.kind == kind))
    return [Seen(process, bool(is_running)) for process, is_running in rows]


def forget_lost(session: Session, *, after_s: float = 3600.0) -> None:
    """Drop the rows of processes that died without a word."""
    session.execute(delete(Process).where(Process.seen_at < now() - after_s))


def acquire(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease *name* for *seconds*. False: somebody else holds it.

    One that would last for longer than that is void: the clock that it goes by was set back since.
    """
    row = upsert(session, Lease).values(name=name, holder=holder, expires_at=now() + seconds)
    taken = row.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "expires_at": now() + seconds},
        where=or_(Lease.holder == holder, Lease.expires_at < now(), Lease.expires_at > now() + seconds + _ROUNDING_S),
    )
    return session.scalar(taken.returning(Lease.name)) is not None


def is_held(session: Session, name: str) -> bool:
    """Whether somebody holds the lease *name*."""
    return session.scalar(select(Lease.name).where(Lease.name == name, Lease.expires_at >= now())) is not None


def holder_of(session: Session, name: str) -> str | None:
    """Who holds the lease *name*."""
    return session.scalar(select(Lease.holder).where(Lease.name == name, Lease.expires_at >= now()))


def release(session: Session, name: str, holder: str) -> None:
    """Give a lease back, if it is still this holder's."""
    session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))
