"""Backups between all kinds of catalogs and stores, without a service: what comes back is what was there."""

import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from services.backups import making, manifest, places, restoring, verifying
from services.backups.copying import Source
from services.backups.destination import Destination, Folder
from services.backups.manifest import Manifest
from services.backups.putting import Restored
from services.catalog import people
from services.catalog.dumps import loading
from services.catalog.engine import Catalog
from services.catalog.erasing.erasures import Entry
from services.catalog.importing import jobs
from services.catalog.migrate import is_current, migrate
from services.catalog.running import processes
from services.catalog.schema import Collection, Face, Generation, Item, Model, Person, Photo
from services.catalog.tables.privacy import Erasure
from services.errors import BackupDamaged, CannotStart, Conflict, InvalidRequest, WrappingKeyMissing
from services.photos.store import PhotoStore
from services.photos.wrapping import Wrapping
from services.settings.backup import BackupSettings
from services.settings.service import Environment
from services.vault import Vault
from tests import vaults
from tests.integration.backed import NEW_AT_EVERY_RESTORE, enrol, everything, filled, named, quiet
from tests.integration.catalog import rows
from tests.integration.rebuilding import Gallery
from tests.stack import Stack

ON_SQLITE = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
"""Where the kind of catalog means nothing."""

pytestmark = pytest.mark.slow


@pytest.fixture
def real(rebuilt: Gallery) -> Source:
    """Five photos of four people, sealed, under a small model."""
    vault = rebuilt.tools.store
    return Source(rebuilt.catalog, vault.objects, vault.wrapping)


@pytest.fixture
def source(catalog: Catalog, photo_store: PhotoStore) -> Source:
    """Three people with two photos each, sealed, of random bytes."""
    return filled(catalog, photo_store)


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    """Where backups go."""
    return Folder(tmp_path / "backups")


@pytest.fixture
def elsewhere(servers: Stack, photo_store: PhotoStore) -> PhotoStore:
    """Another bucket, with nothing in it."""
    del photo_store
    return servers.another_empty_bucket()


@pytest.fixture
def others(tmp_path: Path, servers: Stack) -> Iterator[Callable[[str], Catalog]]:
    """Makes empty databases of either kind."""
    made: list[Catalog] = []
    urls: list[str] = []

    def make(kind: str) -> Catalog:
        if kind == "sqlite":
            url = f"sqlite:///{tmp_path / secrets.token_hex(4)}.sqlite"
        else:
            url = servers.postgres().new_database()
            urls.append(url)
        made.append(Catalog(url))
        return made[-1]

    yield make
    for catalog in made:
        catalog.close()
    for url in urls:
        servers.postgres().drop_database(url)


def make(source: Source, place: Destination, keep: int = 0) -> Manifest:
    """A backup."""
    return making.make(source, place, keep=keep, tell=quiet)


def restore(target: Source, place: Destination, **how: Any) -> Restored:
    """The newest backup, or as said."""
    return restoring.restore(target, place, **{"at": None, "only": None, "replace": False, **how})


def objects(store: PhotoStore) -> dict[str, bytes]:
    """What the store holds, as it lies there."""
    return {stored.key: store.get(stored.key) for stored in store.list()}


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@ON_SQLITE
def test_a_catalog_comes_back_in_the_other_database_and_from_there_in_its_own(
    real: Source, place: Folder, tmp_path: Path, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    before = everything(real.catalog)
    make(real, place)

    away = replace(real, catalog=others("postgresql"), store=elsewhere)
    done = restore(away, place)
    second = Folder(tmp_path / "second")
    make(away, second)
    back = replace(real, catalog=others("sqlite"))
    restore(back, second, only="catalog")

    for found in (everything(away.catalog), everything(back.catalog)):
        differ = {name for name in before if found[name] != before[name]}
        assert differ == NEW_AT_EVERY_RESTORE
    assert objects(elsewhere).items() >= {key: real.store.get(key) for key in named(real.catalog)}.items()
    assert (done.lost, done.rows) == (0, sum(len(lines) - 1 for lines in before.values()))
    assert is_current(away.catalog)
    assert is_current(back.catalog)


@ON_SQLITE
def test_numbers_go_on_after_those_that_were_given(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    with source.catalog.transaction() as session:
        last = Generation(collection_id=1, model_id=1, state="dropped")
        session.add(last)
        session.flush()
        number = last.id
        session.delete(last)
    make(source, place)
    target = replace(source, catalog=others("postgresql"), store=elsewhere)

    restore(target, place)

    with target.catalog.transaction() as session:
        after = Generation(collection_id=1, model_id=1, state="dropped")
        newcomer = people.ensure(session, 1, "Newcomer", None, {})
        session.add(after)
        session.flush()
        highest = session.scalar(select(func.max(Person.id)).where(Person.id != newcomer.id))
        assert after.id > number
        assert newcomer.id > (highest or 0)


@ON_SQLITE
def test_a_new_epoch_begins_and_nobody_holds_anything(
    source: Source,
    place: Folder,
    elsewhere: PhotoStore,
    others: Callable[[str], Catalog],
) -> None:
    with source.catalog.reading() as session:
        epoch = session.scalar(select(Collection.epoch))
    with source.catalog.transaction() as session:
        job = jobs.create(session, rows.gallery(session).id, kind="import", queue="bulk", closed=True)
        item = jobs.add_item(session, job, "a.jpg", photo=session.scalars(select(Photo).limit(1)).one())
        item.state, item.claim, item.claimed_by, item.claim_expires_at = "queued", "token", "host:1", 9e9
        processes.beat(session, "gateway@host:1", kind="gateway", host="host", pid=1, details={})
        processes.acquire(session, "sweep", "host:1", 60.0)
    make(source, place)
    target = replace(source, catalog=others("sqlite"), store=elsewhere)

    restore(target, place)

    with target.catalog.reading() as session:
        assert session.scalar(select(Collection.epoch)) != epoch
        assert session.scalars(select(Item.state).where(Item.claim.is_not(None))).all() == []
        assert session.scalar(select(func.count()).where(Item.state == "queued")) == 1
        assert processes.running(session) == []
        assert not processes.is_held(session, "sweep")


@ON_SQLITE
def test_only_what_is_new_is_copied(source: Source, place: Folder) -> None:
    first = make(source, place)
    again = make(source, place)
    with source.catalog.transaction() as session:
        person = session.scalars(select(Person).limit(1)).one()
        model = session.scalars(select(Model)).one()
        enrol(session, vaults.sealed(source.store, source.catalog), person, model, "another")
    third = make(source, place)

    assert [told.figures["new"] for told in (first, again, third)] == [18, 0, 3]
    assert third.figures["count"] == 21


@ON_SQLITE
def test_what_is_sealed_later_is_copied_again_and_older_backups_keep_what_they_had(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    plain, sealing = vaults.plain(source.store, source.catalog), vaults.sealed(source.store, source.catalog)
    with source.catalog.transaction() as session:
        model, person = session.scalars(select(Model)).one(), session.scalars(select(Person).limit(1)).one()
        enrol(session, plain, person, model, "plain")
        photo = session.scalars(select(Photo).order_by(Photo.id.desc()).limit(1)).one()
    first = make(source, place)
    with source.catalog.transaction() as session:
        row = session.get_one(Photo, photo.id)
        row.sealed_key = sealing.new_key(row.public_id)
    sealing.put(photo.object_key, f"plain as {photo.object_key}".encode())
    second = make(source, place)

    assert verifying.verify(source.wrapping, place, at=None).problems == 0
    for told in (first, second):
        target = replace(source, catalog=others("sqlite"), store=elsewhere)
        assert restore(target, place, at=told.name).lost == 0
        found = vaults.sealed(elsewhere, target.catalog).get(photo.object_key)
        assert found == f"plain as {photo.object_key}".encode()


@ON_SQLITE
def test_without_a_wrapping_key_a_backup_is_plain_and_comes_back(
    catalog: Catalog, photo_store: PhotoStore, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    vault = vaults.plain(photo_store, catalog)
    with catalog.transaction() as session:
        model = rows.model(session)
        rows.generation(session, model)
        enrol(session, vault, people.ensure(session, rows.gallery(session).id, "Ana", None, {}), model, "plain")
    source = Source(catalog, photo_store, None)
    told = make(source, place)

    done = restore(replace(source, catalog=others("sqlite"), store=elsewhere), place)

    assert (told.sealed_key, told.wrapping_keys) == (None, [])
    assert (done.lost, objects(elsewhere)) == (0, objects(photo_store))


@ON_SQLITE
def test_old_backups_go_and_objects_that_no_other_needs(source: Source, place: Folder) -> None:
    with source.catalog.reading() as session:
        photo = session.scalars(select(Photo).limit(1)).one()
    make(source, place)
    with source.catalog.transaction() as session:
        source.store.put("photos/1/pho_other", b"bytes")
        other = Photo(
            public_id="pho_other", collection_id=1, sha256="0" * 64, size_bytes=5, format="jpeg", source_name="x",
            object_key="photos/1/pho_other", state="rejected",
        )  # fmt: skip
        session.add(other)
    make(source, place)
    with source.catalog.transaction() as session:
        session.delete(session.scalars(select(Photo).where(Photo.public_id == "pho_other")).one())
    make(source, place, keep=2)
    kept = place.size("objects/photos/1/pho_other")

    make(source, place, keep=1)

    assert kept == 5
    assert place.size("objects/photos/1/pho_other") is None
    assert place.size(f"objects/{photo.object_key}.sealed") is not None
    assert len(manifest.all_of(place)) == 1
    assert not [name for name in place.names("catalogs") if name.split("/")[1] not in manifest.all_of(place)]


@ON_SQLITE
def test_who_was_erased_leaves_the_backups_and_does_not_come_back(
    source: Source, place: Folder, tmp_path: Path, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    make(source, place)
    with source.catalog.transaction() as session:
        person = session.scalars(select(Person).order_by(Person.id).limit(1)).one()
        gone = person.public_id
        people.erase(session, person)
        entry = Entry.of(session.scalars(select(Erasure)).one())
    ledger = json.dumps(entry.to_json())
    first = replace(source, catalog=others("sqlite"), store=elsewhere)
    source_of = [entry.photos[0], entry.faces[0]]

    by_hand = restore(first, place, ledger=[Entry.of_json(json.loads(ledger))])
    make(source, place)
    later = replace(source, catalog=others("postgresql"), store=elsewhere)
    by_place = restore(later, place, at=manifest.all_of(place)[0])
    mirrored = replace(source, catalog=others("sqlite"), store=elsewhere)
    (tmp_path / "backups" / "ledger" / f"{entry.id}.json").unlink()
    by_store = restore(mirrored, place, at=manifest.all_of(place)[0])

    for done, target in ((by_hand, first), (by_place, later), (by_store, mirrored)):
        assert done.erased_again == 1
        assert done.lost == 0
        with target.catalog.reading() as session:
            assert session.scalar(select(Person.id).where(Person.public_id == gone)) is None
            assert session.scalar(select(Photo.id).where(Photo.public_id == source_of[0])) is None
    assert not [name for name in place.names("objects") if any(each in name for each in source_of)]


@ON_SQLITE
def test_a_changed_byte_anywhere_is_found(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    with source.catalog.transaction() as session:
        people.erase(session, session.scalars(select(Person).order_by(Person.id).limit(1)).one())
    told = make(source, place)
    target = replace(source, catalog=others("sqlite"), store=elsewhere)
    well = verifying.verify(source.wrapping, place, at=None)
    unseen: list[str] = []

    for name in list(place.names()):
        path = place.path / name
        data = path.read_bytes()
        at = secrets.randbelow(len(data))
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << secrets.randbelow(8))]) + data[at + 1 :])
        if not verifying.verify(source.wrapping, place, at=None).problems:
            unseen.append(name)
        if name.startswith("catalogs/") and not name.endswith("/objects"):
            with pytest.raises((BackupDamaged, ValueError)):
                restore(target, place)
            assert loading.held(target.catalog) == {}
        path.write_bytes(data)

    assert well.problems == 0
    assert (well.rows, well.objects) == (sum(t.rows for t in told.tables.values()), told.objects.rows)
    assert unseen == []


@ON_SQLITE
def test_a_damaged_object_is_lost_and_everything_else_is_restored(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    make(source, place)
    with source.catalog.reading() as session:
        key = session.scalars(select(Photo.object_key)).first()
    path = place.path / f"objects/{key}.sealed"
    path.write_bytes(path.read_bytes()[:-1])

    done = restore(replace(source, catalog=others("sqlite"), store=elsewhere), place)

    assert (done.lost, [lost.split(":")[0] for lost in done.lost_named or []]) == (1, [key])
    assert not elsewhere.exists(str(key))
    assert done.objects + 1 == Manifest.read(place, done.backup).objects.rows


def test_a_backup_while_photos_come_and_people_go_is_of_one_moment(
    real: Source,
    place: Folder,
    rebuilt: Gallery,
    photos: list[Path],
    elsewhere: PhotoStore,
    others: Callable[[str], Catalog],
) -> None:
    over = threading.Event()
    troubles: list[BaseException] = []

    def busy() -> None:
        try:
            while not over.is_set():
                with rebuilt.catalog.transaction() as session:
                    person = session.scalars(select(Person).order_by(Person.id).limit(1)).one()
                    shown = set(session.scalars(select(Photo.sha256).join(Face).where(Face.person_id == person.id)))
                    gone = people.erase(session, person)
                    keys = [f"photos/1/{each}" for each in gone.photos] + [f"chips/1/{each}" for each in gone.faces]
                real.store.delete_many(keys)  # At once, as the sweep may.
                rebuilt.enrol([path for path in photos if sha256(path) in shown])
        except BaseException as error:  # noqa: BLE001 - told by the test
            troubles.append(error)

    thread = threading.Thread(target=busy)
    thread.start()
    made = [make(real, place) for _ in range(3)]
    over.set()
    thread.join()

    assert troubles == []
    assert [told.figures["missing"] for told in made] == [0, 0, 0]
    assert verifying.verify(real.wrapping, place, at=None).problems == 0
    target = replace(real, catalog=others("sqlite"), store=elsewhere)
    done = restore(target, place)
    assert done.lost <= made[-1].figures["gone_meanwhile"]
    vault = Vault(elsewhere, target.catalog, real.wrapping)
    for key in named(target.catalog) - {lost.split(":")[0] for lost in done.lost_named or []}:
        assert vault.get(key)


@ON_SQLITE
def test_what_is_there_is_not_overwritten_unless_somebody_says_so(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    make(source, place)
    target = replace(source, catalog=others("sqlite"), store=elsewhere)
    migrate(target.catalog)
    with target.catalog.transaction() as session:
        people.ensure(session, rows.gallery(session).id, "Somebody", None, {})

    with pytest.raises(Conflict, match="1 people"):
        restore(target, place)
    restore(target, place, replace=True)

    with target.catalog.transaction() as session:
        assert "Somebody" not in session.scalars(select(Person.name)).all()
        processes.beat(session, "gateway@host:1", kind="gateway", host="host", pid=1, details={})
    with pytest.raises(Conflict, match="gateway@host:1"):
        restore(target, place, replace=True)


@ON_SQLITE
def test_who_was_erased_in_a_catalog_that_is_thrown_away_stays_erased(source: Source, place: Folder) -> None:
    make(source, place)
    with source.catalog.transaction() as session:
        person = session.scalars(select(Person).order_by(Person.id).limit(1)).one()
        gone = person.public_id
        people.erase(session, person)  # And nobody has written that down elsewhere yet.

    done = restore(source, place, replace=True)

    assert done.erased_again == 1
    with source.catalog.reading() as session:
        assert session.scalar(select(Person.id).where(Person.public_id == gone)) is None


@ON_SQLITE
def test_a_half_restored_catalog_is_started_by_nobody(
    source: Source, place: Folder, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    make(source, place)
    target = replace(source, catalog=others("sqlite"), store=elsewhere)

    def stop(told: Any) -> None:
        if told.get("table") == "faces":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore(target, place, tell=stop)

    assert not is_current(target.catalog)
    with pytest.raises(CannotStart, match="colega restore"):
        migrate(target.catalog)
    with pytest.raises(Conflict, match="has not come to its end"):
        make(source, place)
        restore(target, place)
    first = manifest.all_of(place)[0]
    restore(target, place, at=first)
    assert is_current(target.catalog)
    assert everything(target.catalog).keys() == everything(source.catalog).keys()


@ON_SQLITE
def test_a_missing_wrapping_key_is_named(source: Source, place: Folder, others: Callable[[str], Catalog]) -> None:
    make(source, place)
    assert source.wrapping is not None
    needed = source.wrapping.newest.hex()

    for given in (None, Wrapping([secrets.token_bytes(32)])):
        target = replace(source, catalog=others("sqlite"), wrapping=given)
        with pytest.raises(WrappingKeyMissing, match=f"{needed}.*COLEGA_WRAPPING_KEYS"):
            restore(target, place)
        with pytest.raises(WrappingKeyMissing):
            verifying.verify(given, place, at=None)


@ON_SQLITE
def test_a_backup_of_a_newer_version_is_refused(
    source: Source, place: Folder, others: Callable[[str], Catalog]
) -> None:
    told = make(source, place)
    newer = replace(told, revision="9999", version="9.0")
    key = making.key_of(told, source.wrapping)
    making._publish(place, newer, key)

    with pytest.raises(BackupDamaged, match=r"newer colega \(9.0\)"):
        restore(replace(source, catalog=others("sqlite")), place)


@ON_SQLITE
def test_a_manifest_of_somebody_without_the_key_is_refused(
    source: Source, place: Folder, others: Callable[[str], Catalog]
) -> None:
    told = make(source, place)
    forged = replace(told, sequences={})
    place.write(manifest.path(told.name, "manifest.json"), [forged.text()])
    place.write(manifest.path(told.name, "manifest.json.sha256"), [manifest.check_line(forged.text())])

    with pytest.raises(BackupDamaged, match="not as it was written"):
        restore(replace(source, catalog=others("sqlite")), place)


@ON_SQLITE
def test_lost_objects_come_back_beside_those_that_are_there(source: Source, place: Folder) -> None:
    make(source, place)
    before = objects(source.store)
    lost = sorted(named(source.catalog))[::2]
    source.store.delete_many(lost)
    source.store.put(sorted(named(source.catalog))[1], b"something else")

    done = restore(source, place, only="objects")

    assert (done.objects, done.lost) == (len(lost) + 1, 0)
    assert {key: data for key, data in objects(source.store).items() if not key.startswith("ledger/")} == before


@ON_SQLITE
def test_a_bucket_holds_backups_as_a_folder_does(
    source: Source, servers: Stack, elsewhere: PhotoStore, others: Callable[[str], Catalog]
) -> None:
    settings = Environment.of_process(servers.backup_settings()).load(BackupSettings)
    place = places.place(f"s3://{elsewhere.bucket}/copies/nightly", settings)
    make(source, place)
    again = make(source, place, keep=1)

    found = verifying.verify(source.wrapping, place, at=None)
    target = replace(source, catalog=others("sqlite"), store=elsewhere)
    done = restore(target, place)

    assert (found.backups, found.problems) == ([again.name], 0)
    assert (again.figures["new"], again.figures["backups_removed"]) == (0, 1)
    assert done.lost == 0
    assert objects(elsewhere).keys() >= named(source.catalog)
    with place.alone(), pytest.raises(Conflict, match="Another backup"):
        make(source, places.place(place.name, settings))


@ON_SQLITE
def test_a_folder_that_holds_something_else_is_left_alone(source: Source, place: Folder) -> None:
    (place.path / "objects").mkdir(parents=True)
    (place.path / "objects" / "thesis.txt").write_text("years of work")

    with pytest.raises(Conflict, match=r"thesis.txt"):
        make(source, place)
    with pytest.raises(BackupDamaged, match="no backups"):
        manifest.all_of(place)
    assert (place.path / "objects" / "thesis.txt").read_text() == "years of work"


def test_a_request_names_no_path() -> None:
    settings = BackupSettings(backup_folder="/mnt/backups")

    assert places.configured(settings) == "/mnt/backups"
    assert places.configured(settings, "nightly") == "/mnt/backups/nightly"
    for name in ("..", "a/b", "/etc", "", "a b"):
        with pytest.raises(InvalidRequest):
            places.configured(settings, name)
    with pytest.raises(InvalidRequest, match="COLEGA_BACKUP_FOLDER"):
        places.configured(BackupSettings())
