"""API keys: hashed, scoped, revocable, and made anew while the old one goes on for a while. The key itself is kept nowhere."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, or_, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import ApiKey, new_id, now
from services.catalog.tables.console import ConsoleSession
from services.errors import Conflict, InvalidRequest, NotFound, Unauthorized

SCOPES = ("search", "enrol", "read", "manage", "train", "admin")
"""``admin`` may do everything that the others may."""

_VALID = select(ApiKey).where(
    or_(
        ApiKey.sha256 == bindparam("sha256"),
        and_(ApiKey.old_sha256 == bindparam("sha256"), ApiKey.old_until > now()),
    ),
    ApiKey.revoked_at.is_(None),
    or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now()),
)
"""Asked at every request, and so built once."""

_USED_EVERY_S = 60.0  # Writing the time of last use at each request would make every read a write.


def issue(
    session: Session,
    name: str,
    scopes: Sequence[str],
    *,
    collections: Sequence[str] | None = None,
    expires_in_days: float | None = None,
    secret: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; *secret* only where it was chosen elsewhere (the bootstrap key of a container).

    Returns:
        The row, and the key to show once.

    Raises:
        InvalidRequest: A scope is unknown, or a given secret has fewer than 32 characters.
        Conflict: The given secret is or was a key already.
    """
    if unknown := set(scopes) - set(SCOPES):
        raise InvalidRequest(f"There is no scope {min(unknown)}. Scopes are {', '.join(SCOPES)}.")
    if not scopes:
        raise InvalidRequest(f"A key needs at least one scope of {', '.join(SCOPES)}.")
    if secret is not None and len(secret) < 32:
        raise InvalidRequest("A key must have at least 32 characters.")
    if secret is not None:
        digest = _hash(secret)
        there = select(ApiKey.id).where(or_(ApiKey.sha256 == digest, ApiKey.old_sha256 == digest))
        if session.scalar(there) is not None:
            raise Conflict("There is, or was, a key with this secret already. Choose another.")
    secret = secret or _secret()
    key = ApiKey(
        public_id=new_id("key"),
        name=name,
        sha256=_hash(secret),
        scopes=list(scopes),
        collections=None if collections is None else list(collections),
        expires_at=None if expires_in_days is None else now() + expires_in_days * 86_400.0,
    )
    session.add(key)
    session.flush()
    return key, secret


def check(session: Session, secret: str) -> ApiKey:
    """The key that *secret* is, or was until lately, if it is valid now.

    It is looked up by its hash, of which nobody can choose the first characters; hashes are compared in constant time besides.

    Raises:
        Unauthorized: It is unknown, revoked or expired.
    """
    digest = _hash(secret)
    found = session.scalar(_VALID, {"sha256": digest})
    if found is None or not (
        hmac.compare_digest(found.sha256, digest) | hmac.compare_digest(found.old_sha256 or "", digest)
    ):
        raise Unauthorized("The API key is unknown, revoked or expired.")
    return found


def is_stale(key: ApiKey) -> bool:
    """Whether the time of last use is worth writing again; by this machine's clock, which is near enough."""
    return key.used_at is None or key.used_at < time.time() - _USED_EVERY_S


def touch(session: Session, key: ApiKey) -> None:
    """Note that a key was used, at most once a minute."""
    stale = or_(ApiKey.used_at.is_(None), ApiKey.used_at < now() - _USED_EVERY_S)
    session.execute(update(ApiKey).where(ApiKey.id == key.id, stale).values(used_at=now()))


def all_of(session: Session) -> Sequence[ApiKey]:
    """Every key, revoked ones included, oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.id)).all()


def has_admin(session: Session) -> bool:
    """Whether any admin key is in force."""
    return any("admin" in key.scopes for key in all_of(session) if key.revoked_at is None)


def by_public_id(session: Session, public_id: str) -> ApiKey:
    """The key of that id.

    Raises:
        NotFound: There is none.
    """
    found = session.scalar(select(ApiKey).where(ApiKey.public_id == public_id))
    if found is None:
        raise NotFound("key", public_id)
    return found


def rotate(session: Session, found: ApiKey, keep_old_for_s: float) -> str:
    """Give a key another secret, which is returned; the old one is valid for *keep_old_for_s* more, and one before that no more.

    Whoever has signed in to the console with it stays signed in, unless the old one ends at once.

    Raises:
        Conflict: It is revoked.
    """
    if found.revoked_at is not None:
        raise Conflict(f"The key {found.name} is revoked. Make a new one.")
    secret = _secret()
    changed: dict[str, Any] = {"sha256": _hash(secret), "rotated_at": now()}
    if keep_old_for_s > 0:
        changed |= {"old_sha256": found.sha256, "old_until": now() + keep_old_for_s}
    else:
        changed |= {"old_sha256": None, "old_until": None}
        session.execute(delete(ConsoleSession).where(ConsoleSession.api_key_id == found.id))
    session.execute(update(ApiKey).where(ApiKey.id == found.id).values(changed))
    session.refresh(found)
    return secret


def forget_collection(session: Session, name: str) -> None:
    """Take a collection that is gone out of the limits of keys: one that is made later under its name is not theirs."""
    for key in all_of(session):
        if key.collections is not None and name in key.collections:
            key.collections = [each for each in key.collections if each != name]


def revoke(session: Session, public_id: str) -> ApiKey:
    """End a key now and for good.

    Raises:
        NotFound: There is none of that id.
    """
    found = by_public_id(session, public_id)
    session.execute(update(ApiKey).where(ApiKey.id == found.id, ApiKey.revoked_at.is_(None)).values(revoked_at=now()))
    session.refresh(found)
    return found


def _secret() -> str:
    return f"colega_{secrets.token_urlsafe(32)}"


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
