"""Pruning: log entries and snapshots that no searcher needs any more.

A searcher that starts takes the newest snapshot and replays the log from there, or the one before should the newest
prove damaged. So entries stay that the older of the two needs, and all of the last day. Where a collection has no
snapshots its searchers start from rows, and need none. A follower that was away for longer meets a gap and starts anew.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy.orm import Session

from index.manifest import MANIFEST, DamagedSnapshot, Manifest, newest
from index.snapshots import KEPT
from services.catalog import collections, log
from services.catalog.engine import Catalog
from services.catalog.running import held
from services.catalog.schema import Collection
from services.errors import DamagedObject, MissingObject
from services.logs import logger
from services.photos import keys
from services.photos.store import Stored
from services.vault import Vault

ENTRIES_FOR_S = 86_400.0
"""Entries younger than this stay in any case."""
_ORPHANS_S = 3600.0
_BATCH = 10_000


def prune_logs(catalog: Catalog, store: Vault, *, entries_for_s: float = ENTRIES_FOR_S) -> int:
    """Delete log entries that are old and that no searcher will replay.

    Returns:
        How many were deleted.
    """
    with catalog.reading() as session:
        galleries = collections.all_of(session)
        searched = _searched(session)
    pruned = 0
    for gallery in galleries:
        mine = (generation for collection, generation in searched if collection == gallery.id)
        up_to = min((_needed_after(store, gallery, generation) for generation in mine), default=gallery.head)
        while True:
            with catalog.transaction() as session:
                deleted = log.prune(session, gallery.id, up_to=up_to, older_than_s=entries_for_s, limit=_BATCH)
            pruned += deleted
            if deleted < _BATCH:
                break
    if pruned:
        logger().info("log.pruned", entries=pruned)
    return pruned


def drop_lost_snapshots(catalog: Catalog, store: Vault) -> int:
    """Delete snapshots of collections that are gone and of generations that nobody looks in any more.

    Returns:
        How many objects were deleted.
    """
    before = time.time() - _ORPHANS_S
    with catalog.reading() as session:
        live = {keys.snapshots(*key) for key in _searched(session)}
    lost = [
        stored.key
        for stored in store.list(f"{keys.SNAPSHOTS}/")
        if not any(stored.key.startswith(prefix) for prefix in live) and stored.modified.timestamp() < before
    ]
    store.delete_many(lost)
    if lost:
        logger().info("snapshots.dropped", objects=len(lost))
    return len(lost)


def _searched(session: Session) -> list[tuple[int, int]]:
    """Collections and generations that searchers follow. One that is being built is made of rows when it is whole."""
    return [each.key for each in held.searched(session, pinned=frozenset())]


def _needed_after(store: Vault, gallery: Collection, generation: int) -> int:
    """The sequence number after which a searcher that starts may need entries."""
    prefix = keys.snapshots(gallery.id, generation)
    there = {stored.key.removeprefix(prefix): stored for stored in store.plain(store.list(prefix))}
    verified = list(_verified(store, prefix, there, gallery.epoch))
    return min(verified[:KEPT], default=gallery.head)


def _verified(store: Vault, prefix: str, there: dict[str, Stored], epoch: str) -> Iterator[int]:
    """The sequence numbers of snapshots of which every file is there and of the right size, newest first."""
    complete = {name.removesuffix(f"/{MANIFEST}") for name in there if name.endswith(f"/{MANIFEST}")}
    with TemporaryDirectory() as folder:
        for name in newest(complete, epoch, len(complete)):
            file = Path(folder) / MANIFEST
            try:
                file.write_bytes(store.get(f"{prefix}{name}/{MANIFEST}"))
                manifest = Manifest.read(file)
            except (MissingObject, DamagedObject, DamagedSnapshot):
                continue
            if all(at in there and there[at].size_bytes == held.size_bytes for at, held in manifest.files.items()):
                yield manifest.sequence
