"""Who runs, and leases: what one process at a time may do."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.process_schema import Lease, Process
from services.catalog.schema import now

ALIVE_WITHIN_S = 15.0
"""A process that was not seen for longer is taken for gone."""


def beat(session: Session, process_id: str, *, kind: str, host: str, pid: int, details: Mapping[str, Any]) -> None:
    """Say that a process runs, and what there is to say about it; every few seconds."""
    row = upsert(session, Process).values(id=process_id, kind=kind, host=host, pid=pid, details=dict(details))
    session.execute(
        row.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now(), "details": dict(details), "pid": pid})
    )


def gone(session: Session, process_id: str) -> None:
    """Forget a process that ends."""
    session.execute(delete(Process).where(Process.id == process_id))


def running(session: Session, *, within_s: float = ALIVE_WITHIN_S) -> Sequence[Process]:
    """The processes seen within *within_s*, by kind."""
    alive = select(Process).where(Process.seen_at > now() - within_s)
    return session.scalars(alive.order_by(Process.kind, Process.id)).all()


def forget_lost(session: Session, *, after_s: float = 3600.0) -> None:
    """Drop the rows of processes that died without a word."""
    session.execute(delete(Process).where(Process.seen_at < now() - after_s))


def acquire(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Take or renew the lease *name* for *seconds*. False: somebody else holds it."""
    row = upsert(session, Lease).values(name=name, holder=holder, expires_at=now() + seconds)
    taken = row.on_conflict_do_update(
        index_elements=["name"],
        set_={"holder": holder, "expires_at": now() + seconds},
        where=or_(Lease.holder == holder, Lease.expires_at < now()),
    )
    return session.scalar(taken.returning(Lease.name)) is not None


def is_held(session: Session, name: str) -> bool:
    """Whether somebody holds the lease *name*."""
    return session.scalar(select(Lease.name).where(Lease.name == name, Lease.expires_at >= now())) is not None


def release(session: Session, name: str, holder: str) -> None:
    """Give a lease back, if it is still this holder's."""
    session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))
