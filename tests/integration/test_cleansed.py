"""What searchers' words, the shelf and the store's volumes say of somebody who was erased."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from index.manifest import CLEANSED, FORMAT, MANIFEST
from services.broker.shadows import Shadows
from services.catalog import people
from services.catalog.engine import Catalog
from services.catalog.erasing import erasures
from services.catalog.erasing.ledger import Asking
from services.catalog.running import processes
from services.catalog.running.processes import Seen
from services.catalog.tables.process import Process
from services.local import seaweedfs
from services.local.processes import wait_ready
from services.photos import keys, versions, volumes
from services.photos.store import PhotoStore
from services.photos.volumes import Volumes
from services.vault import Vault
from tests import vaults
from tests.grepping import grep, windows
from tests.integration.catalog import rows
from tests.stack import Stack
from tests.waiting import eventually
from workers import cleansed
from workers.erasing import Eraser

pytestmark = pytest.mark.slow

SHELF = keys.snapshots(1, 1)


def _searcher(host: str, said: object, *, is_running: bool = True) -> Seen:
    details = {} if said is None else {"cleansed": said}
    return Seen(Process(id=f"searcher@{host}:1", kind="searcher", host=host, pid=1, details=details), is_running)


@pytest.mark.parametrize(
    ("searchers", "left"),
    [
        ([], ""),
        ([_searcher("a", {"1": 7}), _searcher("b", {"1": 9})], ""),
        ([_searcher("a", {"1": 7}), _searcher("b", {"1": 6})], "searcher@b:1 has not written"),
        ([_searcher("a", {"2": 9})], "searcher@a:1 has not written"),
        ([_searcher("a", None)], "searcher@a:1 has not written"),
        ([_searcher("a", {"1": 7}), _searcher("a", {}, is_running=False)], ""),
        ([_searcher("a", {"1": 7}), _searcher("b", {}, is_running=False)], "searcher@b:1 has died"),
        ([_searcher("a", {"1": None}), _searcher("b", {"1": 7})], ""),
        ([_searcher("a", {"1": None})], "No searcher has had Milvus"),
    ],
)
def test_every_searcher_must_have_said_it(searchers: list[Seen], left: str) -> None:
    found = cleansed.left_in_indexes(searchers, 1, 7)

    assert found.startswith(left) if left else found == ""


def _snapshot(store: Vault, sequence: int, cleansed_up_to: int | None, *segments: str, epoch: str = "e") -> None:
    name = f"{epoch}-{sequence:020d}"
    counts = {"faces": 1} | ({} if cleansed_up_to is None else {CLEANSED: cleansed_up_to})
    files = {f"{name}/state-x.npz": b"state", **{f"segments/{segment}.vectors": b"vectors" for segment in segments}}
    for file, held in files.items():
        store.put(SHELF + file, held)
    manifest = {
        "epoch": epoch, "sequence": sequence, "dimension": 2, "faces": [], "templates": [], "counts": counts,
        "files": {f: {"size_bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for f, b in files.items()},
        "state": f"{name}/state-x.npz", "format": FORMAT,
    }  # fmt: skip
    store.put(f"{SHELF}{name}/{MANIFEST}", json.dumps(manifest).encode())


def test_snapshots_that_may_hold_somebody_go_however_few_are_left(catalog: Catalog, photo_store: PhotoStore) -> None:
    store = vaults.sealed(photo_store, catalog)
    _snapshot(store, 5, None, "old", "shared")
    _snapshot(store, 6, 6, "old")
    _snapshot(store, 9, 9, "shared", "new")
    _snapshot(store, 9, 9, epoch="before")

    assert cleansed.drop_snapshots(store, 1, "e", 7, time.time()) == ""

    left = sorted(stored.key.removeprefix(SHELF) for stored in store.list(SHELF))
    kept = "e-00000000000000000009"
    assert left == [f"{kept}/{MANIFEST}", f"{kept}/state-x.npz", "segments/new.vectors", "segments/shared.vectors"]


def test_what_is_on_its_way_to_the_shelf_is_waited_for_and_no_longer_than_an_hour(
    catalog: Catalog, photo_store: PhotoStore
) -> None:
    store = vaults.sealed(photo_store, catalog)
    store.put(f"{SHELF}segments/half.vectors", b"vectors")

    assert "on its way" in cleansed.drop_snapshots(store, 1, "e", 7, time.time())
    assert cleansed.drop_snapshots(store, 1, "e", 7, time.time() + 3700) == ""
    assert list(store.list(SHELF)) == []


def test_a_receipt_is_closed_when_a_look_at_every_place_has_found_nothing(
    catalog: Catalog, photo_store: PhotoStore, servers: Stack, valkey: str
) -> None:
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        photo = rows.photo(session, "ana")
        face = rows.face(session, photo, ana)
        names = [photo.object_key, face.chip_key or "", f"{face.chip_key}.7"]
        processes.beat(session, "searcher@a:1", kind="searcher", host="a", pid=1, details={})
    held = os.urandom(100_000)
    photo_store.put_many([(name, held) for name in names])
    with catalog.transaction() as session:
        entry = people.erase(session, ana, Asking(urgent=True))
    address = seaweedfs.master(servers.instance.ports)
    vault = vaults.sealed(photo_store, catalog)
    eraser = Eraser(catalog, vault, Shadows(valkey), Volumes(address))
    needles = {"photo": windows(held)}
    assert grep([servers.folder / "store"], needles)

    assert eraser.erase() == 0
    assert not any(photo_store.exists(name) for name in names)
    assert json.loads(photo_store.get(keys.ledger(entry.public_id)))["person"] == ana.public_id
    with catalog.transaction() as session:
        found = erasures.by_public_id(session, ana.collection_id, entry.public_id).findings or {}
        assert found["indexes"]["left"].startswith("searcher@a:1")
        said = {"cleansed": {str(ana.collection_id): entry.sequence}}
        processes.beat(session, "searcher@a:1", kind="searcher", host="a", pid=1, details=said)
    eventually(lambda: eraser.erase() == 1)

    assert grep([servers.folder / "store"], needles) == {}
    with catalog.reading() as session:
        closed = erasures.by_public_id(session, ana.collection_id, entry.public_id)
        assert closed.closed_at is not None
        assert not any(place["left"] for place in (closed.findings or {}).values())
    assert eraser.erase() == 0


@pytest.mark.skipif(not os.environ.get("COLEGA_SOAK"), reason="A store of its own is killed with COLEGA_SOAK set only")
def test_what_a_store_forgets_that_is_killed_after_a_delete_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes, "_UNDER_WAY", "1s")
    held = os.urandom(100_000)
    with Stack() as servers:
        store = servers.photo_store()
        store.put_many([("photos/1/pho_a", held), ("photos/1/pho_b", b"kept")])
        store.delete("photos/1/pho_a")
        servers.children["store"].kill()
        servers.children["store"].start()
        wait_ready([servers.children["store"]])
        needles, folder = {"photo": windows(held)}, Path(servers.folder / "store")
        assert grep([folder], needles)

        Volumes(seaweedfs.master(servers.instance.ports)).free()

        eventually(lambda: grep([folder], needles) == {})
        assert store.get("photos/1/pho_b") == b"kept"


def test_where_a_bucket_keeps_versions_those_of_the_erased_go(photo_store: PhotoStore, servers: Stack) -> None:
    assert not versions.are_kept(photo_store)
    store = PhotoStore(seaweedfs.endpoint(servers.instance.ports), "versions", *seaweedfs.keys(servers.instance))
    store.make_bucket()
    store._client.set_bucket_versioning(store.bucket, VersioningConfig(ENABLED))
    store.put_many([("photos/1/pho_a", b"first"), ("photos/1/pho_b", b"kept")])
    store.put("photos/1/pho_a", b"second")
    store.delete("photos/1/pho_a")
    assert versions.are_kept(store)

    assert versions.delete_old(store, ["photos/1/pho_a"]) == 3

    assert versions.delete_old(store, ["photos/1/"]) == 0
    assert store.get("photos/1/pho_b") == b"kept"
