"""Idempotency keys: the same request sent twice is done once and answered alike, for a day."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import now
from services.catalog.tables.request import Request
from services.errors import Conflict

KEPT_S = 86_400.0
_UNDER_WAY_S = 300.0  # A request without an answer after this died with its gateway.


def begin(
    session: Session,
    api_key_id: int,
    idempotency_key: str,
    fingerprint: str,
    *,
    by: str,
    is_at_it: Callable[[str], bool] = lambda _: True,
) -> Request | None:
    """Note a request that is about to be done. A row: it was done before, and this is its answer.

    Args:
        session: A writing transaction.
        api_key_id: Whose request.
        idempotency_key: What it bears.
        fingerprint: What tells it from others.
        by: The process that is about to do it.
        is_at_it: Whether another process may be working on it still; where it is known not to, the request is done now.

    Raises:
        Conflict: The key was used for another request, or the same one is being worked on now.
    """
    abandoned = (Request.status.is_(None)) & (Request.created_at < now() - _UNDER_WAY_S)
    mine = (Request.api_key_id == api_key_id) & (Request.idempotency_key == idempotency_key)
    session.execute(delete(Request).where(mine, abandoned | (Request.created_at < now() - KEPT_S)))
    row = upsert(session, Request).values(
        api_key_id=api_key_id, idempotency_key=idempotency_key, fingerprint=fingerprint, worked_by=by
    )
    fresh = row.on_conflict_do_nothing(index_elements=["api_key_id", "idempotency_key"])
    if session.scalar(fresh.returning(Request.fingerprint)) is not None:
        return None
    found = session.scalars(select(Request).where(mine)).one()
    if found.fingerprint != fingerprint:
        raise Conflict("This Idempotency-Key was used for another request. Use a new one for each request.")
    if found.status is not None:
        return found
    if found.worked_by is None or is_at_it(found.worked_by):
        raise Conflict("The same request is being worked on. Ask again in a moment.")
    found.worked_by = by
    return None


def finish(session: Session, api_key_id: int, idempotency_key: str, status: int, answer: dict[str, Any]) -> None:
    """Keep the answer."""
    mine = (Request.api_key_id == api_key_id) & (Request.idempotency_key == idempotency_key)
    session.execute(update(Request).where(mine).values(status=status, answer=answer))


def abandon(session: Session, api_key_id: int, idempotency_key: str) -> None:
    """Forget a request that failed: the next try is a new one."""
    mine = (Request.api_key_id == api_key_id) & (Request.idempotency_key == idempotency_key)
    session.execute(delete(Request).where(mine, Request.status.is_(None)))


def prune(session: Session) -> None:
    """Drop what is older than a day."""
    session.execute(delete(Request).where(Request.created_at < now() - KEPT_S))
