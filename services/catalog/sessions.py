"""Sessions of the console: somebody shows a key once, and a cookie from then on."""

import hashlib
import secrets
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import ApiKey, now
from services.catalog.tables.console import ConsoleSession
from services.errors import Unauthorized

LONGEST_S = 12 * 3600.0
"""A working day; then one signs in again."""
IDLE_S = 2 * 3600.0
"""So long without a request, and it has ended."""
_SEEN_EVERY_S = 60.0


class SignedIn(NamedTuple):
    """A session that holds, and the key that it stands for."""

    session: ConsoleSession
    key: ApiKey


def begin(session: Session, key: ApiKey) -> str:
    """A new session of *key*; sessions that have ended are removed. Returns the cookie's value, which is kept nowhere."""
    session.execute(delete(ConsoleSession).where(_ended()))
    value = secrets.token_urlsafe(32)
    session.add(ConsoleSession(sha256=_hash(value), api_key_id=key.id, expires_at=now() + LONGEST_S))
    session.flush()
    return value


def check(session: Session, value: str) -> SignedIn:
    """The session of that cookie, if it and its key are valid now.

    Raises:
        Unauthorized: It is unknown or has ended, or its key was revoked or has expired.
    """
    wanted = (
        select(ConsoleSession, ApiKey)
        .join(ApiKey, ApiKey.id == ConsoleSession.api_key_id)
        .where(ConsoleSession.sha256 == _hash(value), ~_ended(), ApiKey.revoked_at.is_(None))
        .where(or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now()))
    )
    found = session.execute(wanted).one_or_none()
    if found is None:
        raise Unauthorized("The session has ended. Sign in again.")
    return SignedIn(*found)


def touch(session: Session, one: ConsoleSession) -> None:
    """Note that it was used, at most once a minute."""
    stale = ConsoleSession.seen_at < now() - _SEEN_EVERY_S
    session.execute(update(ConsoleSession).where(ConsoleSession.id == one.id, stale).values(seen_at=now()))


def end(session: Session, value: str) -> None:
    """End the session of that cookie, if there is one."""
    session.execute(delete(ConsoleSession).where(ConsoleSession.sha256 == _hash(value)))


def is_stale(one: ConsoleSession, now_s: float) -> bool:
    """Whether the time of last use is worth writing again; by this machine's clock, which is near enough."""
    return one.seen_at < now_s - _SEEN_EVERY_S


def _ended() -> ColumnElement[bool]:
    return or_(ConsoleSession.expires_at <= now(), ConsoleSession.seen_at <= now() - IDLE_S)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()
