"""API keys: made, listed, rotated, revoked. A key that is limited to collections deals with keys of those and no others."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import keys
from services.catalog.schema import ApiKey
from services.errors import NotFound
from services.gateway.answers import time_of
from services.gateway.doors import MayBeLeftOut, Resource, Taken, gateway, key

resource = Resource("keyring", "API keys")


class KeyPath(BaseModel):
    """Which key."""

    key_id: str = Field(max_length=64)


class KeyIn(Taken):
    """A new key."""

    name: str = Field(min_length=1, max_length=64)
    scopes: list[str] = Field(min_length=1, max_length=10, description="Of search, enrol, read, manage, train, admin.")
    collections: list[str] | None = Field(
        default=None, max_length=100, description="Null: all that the key that asks may touch."
    )
    expires_in_days: float | None = Field(default=None, gt=0, le=36_500)
    secret: str | None = Field(
        default=None,
        min_length=32,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="A key that clients have already, such as CompreFace's; one is made where none is given.",
    )


class RotateIn(MayBeLeftOut):
    """How a key is rotated."""

    keep_old_for_h: float = Field(
        default=24.0,
        ge=0,
        le=8760,
        description="Hours that the old secret stays valid beside the new one; 0: it ends now.",
    )


class KeyOut(BaseModel):
    """A key; the secret only in the answer that made it."""

    id: str
    name: str
    scopes: list[str]
    collections: list[str] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    used_at: str | None
    rotated_at: str | None
    old_until: str | None = Field(
        description="Until when the secret before the last rotation is valid; null: it is not."
    )
    secret: str | None = Field(default=None, description="Shown once, kept nowhere.")


class KeysOut(BaseModel):
    """Every key."""

    items: list[KeyOut]
    next_cursor: str | None


@resource.door("get", "/keys", "admin", responses={200: KeysOut})
def index() -> ResponseReturnValue:
    """Every key that is limited to no more than this one, revoked ones included."""
    with gateway().catalog.reading() as session:
        return {"items": [_told(each) for each in keys.all_of(session) if _is_mine(each)], "next_cursor": None}


@resource.door("post", "/keys", "admin", responses={201: KeyOut})
def create(body: KeyIn) -> ResponseReturnValue:
    """Make a key. Its secret is in this answer and nowhere else."""
    with gateway().catalog.transaction() as session:
        made, secret = keys.issue(
            session,
            body.name,
            body.scopes,
            collections=_limits(body.collections),
            expires_in_days=body.expires_in_days,
            secret=body.secret,
        )
        session.refresh(made)
    return {**_told(made), "secret": secret}, 201


@resource.door("post", "/keys/<key_id>/rotate", "admin", responses={200: KeyOut})
def rotate(path: KeyPath, body: RotateIn) -> ResponseReturnValue:
    """Give a key another secret, which is in this answer and nowhere else; the old one stays valid for a day, or as asked."""
    with gateway().catalog.transaction() as session:
        found = _one(session, path.key_id)
        secret = keys.rotate(session, found, body.keep_old_for_h * 3600.0)
        return {**_told(found), "secret": secret}


@resource.door("delete", "/keys/<key_id>", "admin", responses={200: KeyOut})
def revoke(path: KeyPath) -> ResponseReturnValue:
    """End a key now and for good."""
    with gateway().catalog.transaction() as session:
        return _told(keys.revoke(session, _one(session, path.key_id).public_id))


def _one(session: Session, public_id: str) -> ApiKey:
    """The key of that id.

    Raises:
        NotFound: There is none, or it may touch what the key that asks may not: one cannot be told from the other.
    """
    found = keys.by_public_id(session, public_id)
    if not _is_mine(found):
        raise NotFound("key", public_id)
    return found


def _is_mine(other: ApiKey) -> bool:
    allowed = key().collections
    return allowed is None or bool(other.collections and set(other.collections) <= set(allowed))


def _limits(wanted: list[str] | None) -> list[str] | None:
    """To which collections a new key is limited.

    Raises:
        NotFound: The key that asks may not touch one of them, whether there is one of that name or not.
    """
    allowed = key().collections
    if allowed is None:
        return wanted
    for name in wanted or ():
        if name not in allowed:
            raise NotFound("collection", name)
    return list(allowed) if wanted is None else wanted


def _told(one: ApiKey) -> dict[str, Any]:
    return {
        "id": one.public_id,
        "name": one.name,
        "scopes": one.scopes,
        "collections": one.collections,
        "created_at": time_of(one.created_at),
        "expires_at": time_of(one.expires_at),
        "revoked_at": time_of(one.revoked_at),
        "used_at": time_of(one.used_at),
        "rotated_at": time_of(one.rotated_at),
        "old_until": time_of(one.old_until),
    }
