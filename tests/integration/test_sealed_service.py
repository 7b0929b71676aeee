"""A whole service seals what it keeps: its store's files say nothing, and what was touched there is never handed on."""

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from services.local import seaweedfs
from services.local.instance import WRAPPING_KEY, Instance
from services.photos.store import PhotoStore
from tests.running import Running

pytestmark = pytest.mark.slow

LARGE_BYTES = 1_500_000


@pytest.fixture
def store(service: Running) -> PhotoStore:
    """The service's store, as whoever has its disk sees it."""
    return seaweedfs.store(Instance.read(service.data))


@pytest.fixture
def http(service: Running, gallery: str) -> Iterator[httpx.Client]:
    """The service, asked about the collection."""
    with service.http(params={"collection": gallery}) as client:
        yield client


def _rows(service: Running, collection: str, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(service.data / "catalog" / "catalog.sqlite")) as catalog:
        mine = "(SELECT id FROM collections WHERE name = ?)"
        return catalog.execute(statement.replace("MINE", mine), (collection,)).fetchall()


def _there(service: Running, needles: dict[str, bytes]) -> set[str]:
    """Which of the needles the store's files hold: a stretch of 48 bytes is enough, behind the tables that all JPEGs share."""
    files = [path.read_bytes() for path in (service.data / "store").rglob("*") if path.is_file()]
    return {
        name
        for name, data in needles.items()
        if any(
            data[at : at + 48] in file
            for at in range(min(1000, len(data) // 2), len(data) - 48, 2000)
            for file in files
        )
    }


def test_the_stores_files_hold_no_photo_no_chip_no_thumbnail_and_no_vector(
    service: Running, gallery: str, examples: Path, store: PhotoStore, http: httpx.Client, tmp_path: Path
) -> None:
    """Imported one by one and in an archive; the same look finds all of it where it is put as it is."""
    people = sorted((examples / "people").rglob("*.jpg"))
    photos = {path.name + str(n): path.read_bytes() + gallery.encode() * 100 for n, path in enumerate(people)}
    archive = tmp_path / "people.zip"
    with zipfile.ZipFile(archive, "w") as written:
        for n, (path, data) in enumerate(zip(people, photos.values(), strict=True)):
            written.writestr(f"{path.parent.name}/{n}.jpg", data)
    first = tmp_path / "first" / "Somebody"
    first.mkdir(parents=True)
    (first / "1.jpg").write_bytes(people[0].read_bytes() + b"first" * 100)
    for source in (archive, first.parent):
        done = service.colega("import", str(source), collection=gallery)
        assert done.returncode == 0, done.stderr
    faces = _rows(
        service, gallery, "SELECT public_id, photo_id FROM faces WHERE collection_id = MINE AND chip_key IS NOT NULL"
    )
    vectors = _rows(
        service,
        gallery,
        "SELECT vector FROM embeddings JOIN faces ON faces.id = face_id WHERE faces.collection_id = MINE",
    )
    shown = _rows(service, gallery, "SELECT public_id FROM photos WHERE collection_id = MINE")
    needles = {
        **{f"photo {name}": data for name, data in photos.items()},
        **{f"chip {face}": http.get(f"/v1/faces/{face}/chip").content for face, _ in faces},
        **{f"thumbnail {photo}": http.get(f"/v1/photos/{photo}/thumbnail").content for (photo,) in shown},
        **{f"vector {n}": vector for n, (vector,) in enumerate(vectors) if isinstance(vector, bytes)},
    }
    assert len(needles) == 5 + 6 + 6 + 6

    assert _there(service, needles) == set()

    names = [f"checks/{gallery}-{n}" for n in range(len(needles))]
    store.put_many(list(zip(names, needles.values(), strict=True)))
    assert _there(service, needles) == set(needles)
    store.delete_many(names)


def test_what_was_touched_in_the_store_is_never_answered_as_if_whole(
    service: Running, gallery: str, examples: Path, store: PhotoStore, http: httpx.Client, tmp_path: Path
) -> None:
    path = tmp_path / "Grace" / "photo.jpg"
    path.parent.mkdir()
    path.write_bytes((examples / "people" / "Grace Hopper" / "1.jpg").read_bytes() + bytes(LARGE_BYTES))
    assert service.colega("import", str(tmp_path), collection=gallery).returncode == 0
    [(name, photo, thumbnail)] = _rows(
        service, gallery, "SELECT object_key, public_id, thumbnail_key FROM photos WHERE collection_id = MINE"
    )
    lying = store.get(str(name))

    assert http.get(f"/v1/photos/{photo}/raw").content == path.read_bytes()
    store.put(str(name), lying[:-20] + bytes(20))
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/v1/photos/{photo}/raw")
    store.put(str(name), lying[:30] + bytes(20) + lying[50:])
    store.put(str(thumbnail), b"\xff\xd8\xff" + bytes(3000))
    for what in ("raw", "thumbnail"):
        answer = http.get(f"/v1/photos/{photo}/{what}")
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/damaged-object")
        assert "Restore it from a backup" in answer.json()["detail"]

    found = service.colega("check", "--repair", "--json", collection=gallery)
    told = json.loads(found.stdout)["collections"][gallery]
    assert told["remaining"] == {"photo_altered": 1, "thumbnail_damaged": 1}, told
    store.put(str(name), lying)
    found = service.colega("check", "--repair", "--json", collection=gallery)
    told = json.loads(found.stdout)["collections"][gallery]
    assert told["mended"] == {"thumbnail_damaged": 1}, told
    assert http.get(f"/v1/photos/{photo}/raw").content == path.read_bytes()
    assert http.get(f"/v1/photos/{photo}/thumbnail").content.startswith(b"\xff\xd8\xff")


def test_the_service_says_how_it_seals_and_under_which_key(service: Running, enrolled: str) -> None:
    with service.http() as http:
        told, status = http.get("/v1/sealing").json(), http.get("/v1/status").json()["sealing"]
        anew = http.post("/v1/sealing/rewrap").json()
        limited = http.post("/v1/keys", json={"name": "x", "scopes": ["admin"], "collections": [enrolled]}).json()
        refused = http.get("/v1/sealing", headers={"Authorization": f"Bearer {limited['secret']}"})

    assert (told["state"], status) == ("sealed", {"state": "sealed", "plain_photos": 0})
    assert [(one["newest"], one["given"], one["keys"] >= 5) for one in told["wrapping_keys"]] == [(True, True, True)]
    assert (anew["rewrapped"], anew["left"]) == (0, 0)
    assert refused.status_code == 403
    said = service.colega("sealing", "show", "--json")
    assert json.loads(said.stdout)["wrapping_keys"][0]["id"] == told["wrapping_keys"][0]["id"]
    assert "Everything is encrypted." in service.colega("sealing", "show").stdout
    assert service.colega("sealing", "rewrap").stdout.startswith("0 keys wrapped anew.")


def test_the_wrapping_key_and_what_searchers_fetch_are_their_owners_alone(service: Running, enrolled: str) -> None:
    assert enrolled
    key, log = service.data / WRAPPING_KEY, (service.data / "up.log").read_text()

    assert (key.stat().st_mode & 0o777, key.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert log.count("whoever loses it loses all photos") == 1
    assert key.read_text().strip() not in log + (service.data / "instance.json").read_text()
    index = list((service.data / "index").rglob("*"))
    assert index
    assert not [path for path in index if path.lstat().st_mode & 0o077]
