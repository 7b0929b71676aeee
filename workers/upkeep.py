"""Upkeep: what was lost is sent again, what was deleted is removed, what nobody needs is forgotten."""

import socket
import time
from collections.abc import Iterable
from itertools import groupby, islice

from sqlalchemy import select

from services.broker import names
from services.broker.send import Queue
from services.catalog import computations, requests
from services.catalog.engine import Catalog
from services.catalog.erasing import nobodys, removals
from services.catalog.erasing.ledger import WITHIN_S, Asking
from services.catalog.importing import claims, jobs
from services.catalog.reviewing import merges
from services.catalog.running import processes
from services.catalog.schema import Face, Job, Photo, now
from services.catalog.telling import deliveries
from services.logs import logger
from services.photos import keys
from services.vault import Vault
from workers import alive, freeing

SWEEP_LIMIT = 2000
UNCLAIMED_FOR_S = 10.0
SHORT_QUEUE = 32
"""While more messages than this wait, an item that nobody claimed is simply waiting its turn."""
ORPHAN_AFTER_S = 3600.0
FREEING_S = 3.0
"""How long the rows of dropped generations are removed at a time: other upkeep waits for it."""
_SEARCHES = 3
_BATCH = 500
_FACES_AT_ONCE = 50


def sweep(catalog: Catalog, queue: Queue) -> int:
    """Send again every item whose claim expired, whose worker died, or that waits unclaimed while its queue is short.

    So with computations: one of a process that died is sent within seconds where that was on this machine, and when its
    lease has expired elsewhere.

    Returns:
        How many items were sent.
    """
    host = socket.gethostname()
    depths = queue.depths()
    with catalog.transaction() as session:
        freed = claims.release_dead(session, host, alive.running(claims.claimants(session, host)))
        found = claims.sweep(session, SWEEP_LIMIT, unclaimed_for_s=UNCLAIMED_FOR_S)
        archives = jobs.to_unpack(session, older_than_s=UNCLAIMED_FOR_S)
        computations.release_dead(session, host, alive.running(computations.holders(session, host)))
        uncomputed = computations.lost(session, unclaimed_for_s=UNCLAIMED_FOR_S)
    if depths.get(names.BULK, 0) <= SHORT_QUEUE:
        for job_id in archives:
            queue.unpack(job_id)  # Whoever unpacks it already holds a lease, and a second one leaves at once.
    if not depths.get(names.TRAINING, 0):
        for job_id in uncomputed:
            queue.compute(
                job_id
            )  # One that waits its turn in a worker is sent twice; whoever claims first computes it.
    sent = 0
    for name, items in found.items():
        if depths.get(name, 0) <= SHORT_QUEUE or set(items) & set(freed):
            queue.ingest(items, name)
            sent += len(items)
    if sent:
        logger().info("items.sent_again", items=sent, freed=len(freed))
    return sent


def tidy(
    catalog: Catalog, store: Vault, *, keep_unassigned_days: int, search_s: float, erase_within_s: float = WITHIN_S
) -> None:
    """Remove objects without rows, faces of nobody kept long enough, generations nobody uses, merges too old to undo, old notes.

    Args:
        catalog: Where the rows are.
        store: Where the objects are.
        keep_unassigned_days: How long faces of nobody are kept.
        search_s: How long a search may take: what one may still look in stays for several times as long.
        erase_within_s: By when nothing of faces of nobody may be left anywhere.
    """
    with catalog.transaction() as session:
        requests.prune(session)
        processes.forget_lost(session)
        merges.prune(session)
        deliveries.prune(session)
    _drop_unassigned(catalog, keep_unassigned_days, Asking("expired", within_s=erase_within_s))
    freeing.free(catalog, for_s=FREEING_S, dropped_for_s=_SEARCHES * search_s)
    remove_objects(catalog, store)


def remove_objects(catalog: Catalog, store: Vault) -> None:
    """Delete from the store what is noted for removal."""
    while True:
        with catalog.reading() as session:
            waiting = removals.waiting(session, _BATCH)
        if not waiting:
            return
        store.delete_many([removal.object_key for removal in waiting])
        with catalog.transaction() as session:
            removals.done(session, [removal.id for removal in waiting])


def drop_orphans(catalog: Catalog, store: Vault) -> int:
    """Delete objects without a row that are older than an hour: a lost race whose gateway died, a chunk rolled back.

    Returns:
        How many were deleted.
    """
    columns = {keys.PHOTOS: Photo.object_key, keys.CHIPS: Face.chip_key, keys.THUMBNAILS: Photo.thumbnail_key}
    before, dropped = time.time() - ORPHAN_AFTER_S, 0
    for kind, column in columns.items():
        old = (stored.key for stored in store.list(f"{kind}/") if stored.modified.timestamp() < before)
        for batch in _batches(old):
            with catalog.reading() as session:
                known = set(session.scalars(select(column).where(column.in_(batch))))
            orphans = [key for key in batch if key not in known]
            store.delete_many(orphans)
            dropped += len(orphans)
    dropped += _drop_reports(catalog, store, before)
    if dropped:
        logger().info("objects.orphans_dropped", objects=dropped)
    return dropped


def _drop_reports(catalog: Catalog, store: Vault, before: float) -> int:
    """Delete what jobs that are gone have made to be looked at. Returns how many objects that were."""
    dropped = 0
    old = (stored.key for stored in store.list(f"{keys.REPORTS}/") if stored.modified.timestamp() < before)
    for batch in _batches(old):
        by_job = {key: key.split("/")[1] for key in batch}
        with catalog.reading() as session:
            known = set(session.scalars(select(Job.public_id).where(Job.public_id.in_(set(by_job.values())))))
        orphans = [key for key, job in by_job.items() if job not in known]
        store.delete_many(orphans)
        dropped += len(orphans)
    return dropped


def _drop_unassigned(catalog: Catalog, days: int, asking: Asking) -> None:
    """Delete, in all rounds, some of the faces of nobody of which a row is older than *days*."""
    old = select(Face).where(
        Face.person_id.is_(None), Face.chip_key.is_not(None), Face.created_at < now() - days * 86_400.0
    )
    with catalog.reading() as session:
        found = session.scalars(old.order_by(Face.collection_id, Face.photo_id, Face.id).limit(_BATCH)).all()
    for collection_id, theirs in groupby(found, lambda face: face.collection_id):
        while some := list(islice(theirs, _FACES_AT_ONCE)):
            with catalog.transaction() as session:
                nobodys.delete(session, collection_id, some, asking)


def _batches(found: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for key in found:
        batch.append(key)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
