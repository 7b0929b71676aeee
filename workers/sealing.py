"""Sealing what is plain: photos that were taken in before there was a wrapping key, and what else lies there as it came.

A photo is given its key first, in the catalog: from then on whatever is put for it is sealed, and readers take what is there
either way. Only when that is a while ago, and everybody who had looked before has long put what they were about to put, are its
objects overwritten, one by one; then the catalog says that all are sealed, and a plain one is damage. Killed at any moment and
run again, it goes on: an object is either as it came or sealed with the key that the catalog has.

What was overwritten is gone from the store's volumes when they are vacuumed.
"""

import time
from collections.abc import Callable
from itertools import islice

from services.catalog import sealed
from services.catalog.engine import Catalog
from services.catalog.erasing import removals
from services.logs import logger
from services.object_keys import OWN
from services.vault import Vault

BEGUN_FOR_S = 900.0
"""From giving a photo its key until its objects are overwritten: longer than anybody takes from looking to putting."""
_KEYS_AT_ONCE, _PHOTOS_AT_ONCE = 500, 8
_LOST_FOR_S = 86_400.0


def seal(
    catalog: Catalog,
    vault: Vault,
    *,
    for_s: float,
    begun_for_s: float = BEGUN_FOR_S,
    passed: Callable[[str], None] = lambda moment: None,  # noqa: ARG005
) -> int:
    """Seal what lies in the store as it came, for *for_s* seconds at the most.

    Args:
        catalog: Where the keys go.
        vault: Where the objects are. Without a wrapping key nothing is done.
        for_s: It is called again for the rest.
        begun_for_s: See :data:`BEGUN_FOR_S`.
        passed: Told of each moment that is passed, so that a test can end the process there.

    Returns:
        How many photos and other objects were sealed whole.
    """
    if vault.wrapping is None:
        return 0
    until = time.monotonic() + for_s
    _begin(catalog, vault, until)
    passed("keys given")
    done = _photos(catalog, vault, begun_for_s, until, passed) + _others(catalog, vault, begun_for_s, until, passed)
    if done:
        logger().info("objects.sealed", photos_and_others=done)
    return done


def _begin(catalog: Catalog, vault: Vault, until: float) -> None:
    """Give keys to what has none."""
    while time.monotonic() < until:
        with catalog.reading() as session:
            photos = sealed.plain(session, _KEYS_AT_ONCE)
        keys = {number: vault.new_key(public_id) or b"" for number, public_id in photos}
        if not keys:
            break
        with catalog.transaction() as session:
            sealed.begin(session, keys)
    names = (stored.key for kind in OWN for stored in vault.list(f"{kind}/"))
    while some := list(islice(names, _KEYS_AT_ONCE)):
        with catalog.reading() as session:
            known = sealed.of_objects(session, some)
        for name in (name for name in some if name not in known):
            with catalog.transaction() as session:
                sealed.give(session, name, vault.new_key(name) or b"", may_be_plain=True)


def _photos(catalog: Catalog, vault: Vault, begun_for_s: float, until: float, passed: Callable[[str], None]) -> int:
    """Overwrite the objects of photos. Returns of how many."""
    after, done = 0, 0
    while time.monotonic() < until:
        with catalog.reading() as session:
            some = sealed.begun(session, for_s=begun_for_s, after=after, limit=_PHOTOS_AT_ONCE)
        if not some:
            break
        vault.seal_many({name: photo.keyed for photo in some for name in photo.names})
        passed("objects sealed")
        with catalog.transaction() as session:
            for photo in some:
                if not sealed.end(session, photo.id):
                    removals.note(session, *photo.names)  # Deleted meanwhile: what was put for it goes again.
        passed("photos sealed")
        after, done = some[-1].id, done + len(some)
    return done


def _others(catalog: Catalog, vault: Vault, begun_for_s: float, until: float, passed: Callable[[str], None]) -> int:
    """Overwrite objects that belong to no photo. Returns how many."""
    done = 0
    while time.monotonic() < until:
        with catalog.reading() as session:
            some = sealed.begun_objects(session, for_s=begun_for_s, limit=1)
        if not some:
            break
        for name, keyed in some.items():
            is_there = vault.seal_large(name, keyed)
            passed("object sealed")
            with catalog.transaction() as session:
                sealed.end_object(session, name)
                if not is_there:
                    sealed.forget(session, [name])
            done += is_there
    return done


def forget_lost(catalog: Catalog, vault: Vault) -> int:
    """Forget keys of objects that are not there: what was to be put and never was. Returns how many."""
    there = {stored.key for kind in OWN for stored in vault.list(f"{kind}/")}
    with catalog.transaction() as session:
        lost = sealed.without_object(session, there, older_than_s=_LOST_FOR_S)
        sealed.forget(session, lost)
    return len(lost)
