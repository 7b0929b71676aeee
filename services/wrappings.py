"""Wrappings: whether this process's wrapping keys are the right ones, and wrapping all keys anew under the newest of them."""

import time
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from services.catalog import sealed
from services.catalog.engine import Catalog
from services.errors import CannotStart, CatalogUnavailable, WrappingKeyMissing
from services.logs import logger
from services.photos import sealing, wrapping
from services.photos.wrapping import ID_AT, ID_BYTES, Wrapping
from services.settings.sealing import SealingSettings

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Counted:
    """A wrapping key, and what is wrapped under it."""

    id: str
    """The first 8 bytes of its SHA-256, hexadecimal."""
    keys: int
    """How many keys of photos and other objects are wrapped under it."""
    is_newest: bool
    """It wraps what is new."""
    is_given: bool
    """This process has it."""


def given(settings: SealingSettings, catalog: Catalog) -> Wrapping | None:
    """The wrapping keys of a process that starts, which can open everything that is sealed; None: it has none, and nothing is.

    It is noted under which of them it wraps. Where the catalog is away or has an older schema, what is missing shows to whoever
    needs a key.

    Raises:
        InvalidSettings: A key cannot be used.
        CannotStart: A wrapping key is missing, or is another one; or there is none and one is required.
    """
    keys = Wrapping.of(settings.wrapping_keys)
    if keys is None and settings.require_sealing:
        raise CannotStart("COLEGA_REQUIRE_SEALING is set and COLEGA_WRAPPING_KEYS is empty. Give a wrapping key.")
    _look(catalog, keys)
    return keys


def _look(catalog: Catalog, given: Wrapping | None) -> None:
    try:
        with catalog.reading() as session:
            known = sealed.registered(session)
        if given is None:
            if known:
                raise wrapping.missing(next(reversed(known)))
            return
        for wrapping_id, check_value in known.items():
            given.unwrap(check_value, wrapping_id)
        mine = given.newest.hex()
        if mine not in known:
            with catalog.transaction() as session:
                sealed.register(session, mine, given.wrap(sealing.new_key(), mine))
    except WrappingKeyMissing as error:
        raise CannotStart(str(error)) from None
    except (CatalogUnavailable, DBAPIError):
        logger().warning("wrapping_keys.not_checked", reason="The catalog does not answer, or its schema is older.")


def counted(catalog: Catalog, given: Wrapping | None) -> list[Counted]:
    """All wrapping keys, the newest first: those that this process has, and those that something is wrapped under."""
    with catalog.reading() as session:
        counts, known = sealed.counted(session, ID_AT, ID_BYTES), sealed.registered(session)
    mine = [] if given is None else given.ids
    ids = dict.fromkeys([*mine, *known, *counts])
    return [Counted(one, counts.get(one, 0), [one] == mine[:1], one in mine) for one in ids]


def renew(catalog: Catalog, given: Wrapping, *, for_s: float) -> int:
    """Wrap keys anew that are not under the newest wrapping key, for *for_s* seconds at the most; no object is touched.

    Ended at any moment and run again, it goes on with what is left. When nothing is left under another wrapping key, that one is
    needed no more, and no process asks for it at its start.

    Returns:
        How many were wrapped anew; 0: there was nothing left to do.

    Raises:
        WrappingKeyMissing: One of them is under a key that this process does not have.
    """
    until, renewed = time.monotonic() + for_s, 0
    while True:
        with catalog.reading() as session:
            photos, objects = sealed.others(session, given.newest, ID_AT, _AT_ONCE)
        if not photos and not objects:
            _forget_unused(catalog, given)
            return renewed
        anew = [
            [(one, given.wrap(given.unwrap(one.wrapped, one.purpose), one.purpose)) for one in some]
            for some in (photos, objects)
        ]
        with catalog.transaction() as session:
            sealed.replace(session, *anew)
        renewed += len(photos) + len(objects)
        if time.monotonic() > until:
            return renewed


def _forget_unused(catalog: Catalog, given: Wrapping) -> None:
    """Forget wrapping keys that nothing is wrapped under, but for the newest."""
    with catalog.reading() as session:
        unused = set(sealed.registered(session)) - set(sealed.counted(session, ID_AT, ID_BYTES)) - {given.newest.hex()}
    if unused:
        with catalog.transaction() as session:
            sealed.unregister(session, unused)
        logger().info("wrapping_keys.needed_no_more", ids=sorted(unused))
