"""API keys: made, listed, revoked."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import keys
from services.catalog.schema import ApiKey
from services.gateway.answers import time_of
from services.gateway.doors import Resource, Taken, gateway

resource = Resource("keyring", "API keys")


class KeyPath(BaseModel):
    """Which key."""

    key_id: str = Field(max_length=64)


class KeyIn(Taken):
    """A new key."""

    name: str = Field(min_length=1, max_length=64)
    scopes: list[str] = Field(min_length=1, max_length=10, description="Of search, enrol, read, manage, train, admin.")
    collections: list[str] | None = Field(default=None, max_length=100, description="Null: all.")
    expires_in_days: float | None = Field(default=None, gt=0, le=36_500)
    secret: str | None = Field(
        default=None,
        min_length=32,
        max_length=128,
        pattern=r"^[\x21-\x7e]+$",
        description="A key that clients have already, such as CompreFace's; one is made where none is given.",
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
    secret: str | None = Field(default=None, description="Shown once, kept nowhere.")


class KeysOut(BaseModel):
    """Every key."""

    items: list[KeyOut]
    next_cursor: str | None


@resource.door("get", "/keys", "admin", responses={200: KeysOut})
def index() -> ResponseReturnValue:
    """Every key, revoked ones included."""
    with gateway().catalog.reading() as session:
        return {"items": [_told(key) for key in keys.all_of(session)], "next_cursor": None}


@resource.door("post", "/keys", "admin", responses={201: KeyOut})
def create(body: KeyIn) -> ResponseReturnValue:
    """Make a key. Its secret is in this answer and nowhere else."""
    with gateway().catalog.transaction() as session:
        key, secret = keys.issue(
            session,
            body.name,
            body.scopes,
            collections=body.collections,
            expires_in_days=body.expires_in_days,
            secret=body.secret,
        )
        session.refresh(key)
    return {**_told(key), "secret": secret}, 201


@resource.door("delete", "/keys/<key_id>", "admin", responses={200: KeyOut})
def revoke(path: KeyPath) -> ResponseReturnValue:
    """End a key now and for good."""
    with gateway().catalog.transaction() as session:
        return _told(keys.revoke(session, path.key_id))


def _told(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "name": key.name,
        "scopes": key.scopes,
        "collections": key.collections,
        "created_at": time_of(key.created_at),
        "expires_at": time_of(key.expires_at),
        "revoked_at": time_of(key.revoked_at),
        "used_at": time_of(key.used_at),
    }
