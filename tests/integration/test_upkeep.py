"""Upkeep: nothing that was taken waits for ever, nothing that was erased stays."""

import pytest
from sqlalchemy import update

from services.broker.send import Queue
from services.catalog import people
from services.catalog.engine import Catalog
from services.catalog.running import processes
from services.catalog.schema import Face, Item
from services.photos.store import PhotoStore
from tests import vaults
from tests.integration.catalog import rows
from workers import upkeep

pytestmark = pytest.mark.slow


def test_what_was_committed_and_never_sent_is_sent_by_the_sweep(catalog: Catalog, valkey: str) -> None:
    with catalog.transaction() as session:  # As a gateway leaves it that dies between commit and message.
        job = rows.job(session)
        items = [rows.item(session, job, f"content {n}") for n in range(3)]
        session.execute(update(Item).values(created_at=0.0))
    queue = Queue(valkey)

    sent = upkeep.sweep(catalog, queue)

    assert (sent, queue.depths()["bulk"]) == (len(items), 1)


def test_what_just_came_in_is_left_to_its_message(catalog: Catalog, valkey: str) -> None:
    with catalog.transaction() as session:
        rows.item(session, rows.job(session), "fresh")

    assert upkeep.sweep(catalog, Queue(valkey)) == 0


def test_objects_of_the_erased_are_removed(catalog: Catalog, photo_store: PhotoStore) -> None:
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        photo = rows.photo(session, "ana")
        face = rows.face(session, photo, ana)
        keys = [photo.object_key, face.chip_key or ""]
    photo_store.put_many([(key, b"x") for key in keys])
    with catalog.transaction() as session:
        people.delete(session, ana)

    upkeep.tidy(catalog, vaults.sealed(photo_store, catalog), keep_unassigned_days=30, search_s=0)

    assert not any(photo_store.exists(key) for key in keys)


def test_faces_of_nobody_are_removed_when_their_time_is_over(catalog: Catalog, photo_store: PhotoStore) -> None:
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        old, new = (rows.face(session, rows.photo(session, name), None) for name in ("old", "new"))
        hers = rows.face(session, rows.photo(session, "hers"), ana)
        session.execute(update(Face).where(Face.id.in_([old.id, hers.id])).values(created_at=0.0))

    upkeep.tidy(catalog, vaults.sealed(photo_store, catalog), keep_unassigned_days=30, search_s=0)

    with catalog.reading() as session:
        assert session.get(Face, old.id) is None
        assert None not in {session.get(Face, new.id), session.get(Face, hers.id)}


def test_an_object_without_a_row_is_an_orphan_when_it_is_old(
    catalog: Catalog, photo_store: PhotoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with catalog.transaction() as session:
        kept = rows.photo(session, "kept").object_key
    photo_store.put_many([(kept, b"x"), ("photos/1/pho_lost", b"x")])

    assert upkeep.drop_orphans(catalog, vaults.sealed(photo_store, catalog)) == 0
    monkeypatch.setattr(upkeep, "ORPHAN_AFTER_S", -60.0)  # As if an hour had passed.
    assert upkeep.drop_orphans(catalog, vaults.sealed(photo_store, catalog)) == 1

    assert [stored.key for stored in photo_store.list("photos/")] == [kept]


def test_one_process_at_a_time_holds_a_lease(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        assert processes.acquire(session, "sweep", "one", 60)
        assert not processes.acquire(session, "sweep", "two", 60)
        assert processes.acquire(session, "sweep", "one", 60)
        processes.release(session, "sweep", "one")
        assert processes.acquire(session, "sweep", "two", -1)
        assert processes.acquire(session, "sweep", "three", 60)  # It had expired.
