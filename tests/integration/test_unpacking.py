"""Archives that are uploaded: kept and unpacked, or refused; where there is no room for them nothing is lost."""

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import select, update

from services.broker.app import celery_app
from services.broker.send import Queue
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.schema import Item, Job, now
from services.catalog.tables.process import Lease
from services.errors import DiskFull, MissingObject
from services.local import ports
from services.photos import keys
from services.photos.store import PhotoStore
from services.settings.service import Limits
from tests import gatewayed, vaults
from tests.integration.catalog import rows
from workers import unpacking


def test_without_room_it_stays_to_be_unpacked_and_then_is(
    catalog: Catalog, photo_store: PhotoStore, valkey: str, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, queue = vaults.plain(photo_store, catalog), Queue(valkey, celery_app(valkey))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(photos[0], "Ana/1.jpg")
    with catalog.transaction() as session:
        job = jobs.create(session, rows.gallery(session).id, kind="import", queue="bulk", closed=False)
        job.archive = True
    store.put(keys.archive(job.public_id), packed.getvalue())

    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", "/proc")  # A disk without any space.
        with pytest.raises(DiskFull, match="/proc"):
            unpacking.unpack(job.id, catalog, store, queue, Limits())
    with catalog.transaction() as session:
        assert not session.get_one(Job, job.id).closed
        session.execute(update(Lease).values(expires_at=now() - 1))

    unpacking.unpack(job.id, catalog, store, queue, Limits())

    with catalog.reading() as session:
        assert session.get_one(Job, job.id).closed
        assert session.scalars(select(Item.name)).all() == ["Ana/1.jpg"]


def test_an_archive_that_a_killed_gateway_has_not_kept_ends_its_import_after_a_while(
    catalog: Catalog, photo_store: PhotoStore, valkey: str
) -> None:
    store, queue = vaults.plain(photo_store, catalog), Queue(valkey, celery_app(valkey))
    with catalog.transaction() as session:
        job = jobs.create(session, rows.gallery(session).id, kind="import", queue="bulk", closed=False)
        job.archive = True

    with pytest.raises(MissingObject):
        unpacking.unpack(job.id, catalog, store, queue, Limits())
    with catalog.transaction() as session:
        session.execute(update(Job).values(created_at=now() - 2 * 3600))
        session.execute(update(Lease).values(expires_at=now() - 1))
    unpacking.unpack(job.id, catalog, store, queue, Limits())

    with catalog.reading() as session:
        ended = session.get_one(Job, job.id)
        assert (ended.closed, ended.error) == (True, "The archive was not kept: its upload broke off. Send it again.")


def test_an_import_whose_archive_could_not_be_kept_is_none(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("Ana/1.jpg", b"\xff\xd8\xff")
    nowhere = f"http://127.0.0.1:{ports.choose(['nobody'], {})['nobody']}"
    with (
        gatewayed.opened(tmp_path, COLEGA_PHOTOS_ENDPOINT=nowhere) as alone,
        alone.http(Authorization=f"Bearer {alone.key}") as http,
    ):
        answer = http.post("/v1/imports", files={"archive": ("a.zip", packed.getvalue())})
        states = [job["state"] for job in http.get("/v1/jobs").json()["items"]]

    assert (answer.status_code, states) == (503, ["cancelled"])
