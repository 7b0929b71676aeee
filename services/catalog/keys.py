"""API keys: hashed, scoped, revocable. The key itself is shown once and kept nowhere."""

import hashlib
import secrets
import time
from collections.abc import Sequence

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import ApiKey, new_id, now
from services.errors import Conflict, InvalidRequest, NotFound, Unauthorized

SCOPES = ("search", "enrol", "read", "manage", "train", "admin")
"""``admin`` may do everything that the others may."""

_VALID = select(ApiKey).where(
    ApiKey.sha256 == bindparam("sha256"),
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
    if secret is not None and session.scalar(select(ApiKey.id).where(ApiKey.sha256 == _hash(secret))) is not None:
        raise Conflict("There is, or was, a key with this secret already. Choose another.")
    secret = secret or f"colega_{secrets.token_urlsafe(32)}"
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
    """The key that *secret* is, if it is valid now. Looked up by hash, so no comparison leaks time.

    Raises:
        Unauthorized: It is unknown, revoked or expired.
    """
    found = session.scalar(_VALID, {"sha256": _hash(secret)})
    if found is None:
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


def revoke(session: Session, public_id: str) -> ApiKey:
    """End a key now and for good.

    Raises:
        NotFound: There is none of that id.
    """
    found = session.scalar(select(ApiKey).where(ApiKey.public_id == public_id))
    if found is None:
        raise NotFound("key", public_id)
    session.execute(update(ApiKey).where(ApiKey.id == found.id, ApiKey.revoked_at.is_(None)).values(revoked_at=now()))
    session.refresh(found)
    return found


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
