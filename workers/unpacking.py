"""Unpacking: an archive that was uploaded becomes items of its import, each judged like an upload of its own."""

import hashlib
import secrets
import tempfile
import time
from pathlib import Path

from sqlalchemy import select

from services import formats, intake
from services.broker.send import Queue
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.running import processes
from services.catalog.schema import Item, Job
from services.errors import ColegaError, DamagedObject, DiskFull, InvalidRequest, MissingObject, PhotoRefused
from services.intake import Upload
from services.labels import Label
from services.logs import logger
from services.photos import keys
from services.rejections import Rejection
from services.settings.service import Limits
from services.sources import entries, layouts
from services.sources.entries import MANIFEST, Entry
from services.sources.layouts import Labels, Layout
from services.vault import Vault
from workers import scratch

LEASE_S = 60.0
_KEPT_WITHIN_S = 3600.0
"""A gateway that has not kept an archive by then does not do so any more: it was killed."""


def unpack(
    job_id: int, catalog: Catalog, store: Vault, queue: Queue, limits: Limits, *, require_basis: bool = False
) -> None:
    """Take in what is in a job's archive, close the job, and remove the archive.

    Run again after it was killed, it goes on: entries that have an item are passed over. An archive that cannot be read
    as a whole, or that was never kept, ends the job with the reason.

    Raises:
        MissingObject: The archive is not kept yet; run it again.
        Unavailable: Catalog, store or broker are away, or the temporary folder is full; run it again.
    """
    holder = secrets.token_hex(8)
    with catalog.transaction() as session:
        job = session.get_one(Job, job_id)
        if job.closed or not processes.acquire(session, f"unpack:{job_id}", holder, LEASE_S):
            return
        there = set(session.scalars(select(Item.name).where(Item.job_id == job_id)))
    key = keys.archive(job.public_id)
    failed: str | None = None
    try:
        with scratch.folder() as folder:
            archive = Path(folder) / "archive"
            with archive.open("wb") as file:
                file.writelines(store.stream(key))
            _take_all(job, archive, there, catalog, store, queue, limits, holder, require_basis)
    except (PhotoRefused, InvalidRequest, DamagedObject) as refused:
        failed = f"{refused.reason.value}: {refused}" if isinstance(refused, PhotoRefused) else str(refused)
    except MissingObject:
        if job.created_at > time.time() - _KEPT_WITHIN_S:
            raise
        failed = "The archive was not kept: its upload broke off. Send it again."
    except OSError as error:
        raise DiskFull(
            f"No room to unpack an archive in {tempfile.gettempdir()}: {error.strerror}. Free some, or set TMPDIR."
        ) from error
    with catalog.transaction() as session:
        job = session.get_one(Job, job_id)
        job.error = failed
        jobs.close(session, job)
    store.delete(key)
    logger().info("archive.unpacked", job=job.public_id, failed=failed is not None)


def _take_all(
    job: Job,
    archive: Path,
    there: set[str],
    catalog: Catalog,
    store: Vault,
    queue: Queue,
    limits: Limits,
    holder: str,
    require_basis: bool,
) -> None:
    bounds = entries.Limits(
        limits.max_archive_entries,
        limits.max_upload_mb * 2**20,
        limits.max_archive_mb * 2**20,
        limits.max_archive_ratio,
    )
    with entries.opened(archive, bounds) as found:
        listed = list(found)
        photos = [entry for entry in listed if entry.refused is None]
        manifest = next((entry for entry in photos if entry.path == MANIFEST), None)
        labels = layouts.labels(
            Layout(job.layout), [e.path for e in photos], None if manifest is None else manifest.read()
        )
        for number, entry in enumerate(listed):
            if number % 50 == 0:
                with catalog.transaction() as session:
                    processes.acquire(session, f"unpack:{job.id}", holder, LEASE_S)
            if entry.path[:1024] not in there and not (entry is manifest and labels.layout is Layout.MANIFEST):
                scratch = archive.with_name(f"entry-{number}")
                _take(job, entry, labels, scratch, catalog, store, queue, require_basis=require_basis)
        for path in sorted(set(labels.rows) - {entry.path for entry in listed} - there):
            reason = Rejection.UNSAFE_PATH if entries.judged(path) else Rejection.MISSING_FILE
            _reject(job, path, PhotoRefused(reason, "The manifest names it and it is not there."), catalog)


def _take(
    job: Job,
    entry: Entry,
    labels: Labels,
    scratch: Path,
    catalog: Catalog,
    store: Vault,
    queue: Queue,
    *,
    require_basis: bool,
) -> None:
    try:
        if entry.refused is not None:
            raise entry.refused
        shown = labels.of(entry.path)
        data = entry.read()
        formats.require(entry.path, data[: formats.HEAD_BYTES])
        scratch.write_bytes(data)
        head, sha256 = data[: formats.HEAD_BYTES], hashlib.sha256(data).hexdigest()
        upload = Upload(entry.path, scratch, len(data), sha256, head)
        taken = intake.take(catalog, store, job.id, [upload], [Label.of(shown)], require_basis=require_basis)
    except PhotoRefused as refused:
        _reject(job, entry.path, refused, catalog)
        return
    except InvalidRequest as invalid:
        _reject(job, entry.path, PhotoRefused(Rejection.INVALID_NAME, str(invalid)), catalog)
        return
    finally:
        scratch.unlink(missing_ok=True)
    try:
        queue.ingest([one.item_id for one in taken if one.item_id is not None], job.queue)
    except ColegaError:
        logger().warning("items.not_sent", items=len(taken))  # The sweep sends them.


def _reject(job: Job, path: str, refused: PhotoRefused, catalog: Catalog) -> None:
    with catalog.transaction() as session:
        jobs.add_item(
            session, session.get_one(Job, job.id), path, state="rejected", reason=refused.reason, detail=str(refused)
        )
