"""Sealing: whether what is kept is encrypted, under which wrapping keys, and wrapping anew under the newest of them."""

from typing import Any, Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import wrappings
from services.catalog import sealed
from services.errors import Conflict
from services.gateway.doors import Gateway, Resource, gateway
from services.gateway.guarding.auth import require_unlimited

_WRAPPED_FOR_S = 5.0

resource = Resource("sealing", "Encryption of what is kept")


class WrappingKeyOut(BaseModel):
    """A wrapping key; never the key itself."""

    id: str = Field(description="The first 8 bytes of its SHA-256.")
    keys: int = Field(description="How many keys of photos and other objects are wrapped under it.")
    newest: bool = Field(description="What is new is wrapped under it.")
    given: bool = Field(description="The gateway has it.")


class SealingOut(BaseModel):
    """How what is kept is encrypted."""

    state: Literal["sealed", "sealing", "unsealed"]
    plain_photos: int = Field(description="Photos that are kept as they came, or may be until they are sealed.")
    wrapping_keys: list[WrappingKeyOut]


class RewrappedOut(BaseModel):
    """What was wrapped anew."""

    rewrapped: int
    left: int = Field(
        description="Keys that are wrapped under another wrapping key than the newest; ask again until it is 0."
    )
    wrapping_keys: list[WrappingKeyOut]


@resource.door("get", "/sealing", "admin", responses={200: SealingOut})
def show() -> ResponseReturnValue:
    """Whether photos, chips, snapshots and the rest are encrypted, and how many keys are under which wrapping key."""
    require_unlimited()
    return {**told_of(gateway()), "wrapping_keys": _keys(gateway())}


@resource.door("post", "/sealing/rewrap", "admin", responses={200: RewrappedOut})
def rewrap() -> ResponseReturnValue:
    """Wrap keys anew under the newest wrapping key, for some seconds; no object is touched. Upkeep does it too, by and by."""
    require_unlimited()
    mine = gateway()
    if mine.store.wrapping is None:
        raise Conflict(
            "There is no wrapping key: what is kept is not encrypted. Set COLEGA_WRAPPING_KEYS (docs/security.md)."
        )
    rewrapped = wrappings.renew(mine.catalog, mine.store.wrapping, for_s=_WRAPPED_FOR_S)
    found = _keys(mine)
    left = sum(one["keys"] for one in found if not one["newest"])
    return {"rewrapped": rewrapped, "left": left, "wrapping_keys": found}


def told_of(mine: Gateway) -> dict[str, Any]:
    """Whether what is kept is encrypted, and how many photos are not."""
    with mine.catalog.reading() as session:
        plain = sealed.unsealed(session)
    state = "unsealed" if mine.store.wrapping is None else "sealing" if plain else "sealed"
    return {"state": state, "plain_photos": plain}


def _keys(mine: Gateway) -> list[dict[str, Any]]:
    return [
        {"id": one.id, "keys": one.keys, "newest": one.is_newest, "given": one.is_given}
        for one in wrappings.counted(mine.catalog, mine.store.wrapping)
    ]
