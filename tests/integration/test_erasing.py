"""Erasing: what is left of somebody on any disk once their receipt is closed. Nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
import redis
from sqlalchemy import select

from services.catalog.engine import Catalog
from services.catalog.schema import Embedding, Face, Person, Photo
from services.local import seaweedfs, valkey
from services.local.instance import Instance
from services.photos.store import PhotoStore
from tests.grepping import grep, windows
from tests.pausing import pause
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow

NAME, EXTERNAL_ID = "Zora Quillfeather", "qf-7788-1234"
OTHER = "Yorick Umberfield"
QUICK = {"COLEGA_INDEX_SNAPSHOT_FACES": "1", "COLEGA_INDEX_SNAPSHOT_S": "0.5"}
"""Small collections are written down, too, and at once."""


@pytest.fixture(scope="module", params=["sealed", *(["plain"] if os.environ.get("COLEGA_SOAK") else [])])
def keeping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service whose every file is known: temporary ones lie beside its data. In the long run also one that seals nothing."""
    folder = tmp_path_factory.mktemp("keeping")
    (folder / "tmp").mkdir()
    settings = QUICK if request.param == "sealed" else {**QUICK, "COLEGA_WRAPPING_KEYS": ""}
    running = Running(folder / "data", TMPDIR=str(folder / "tmp"), **settings)
    running.workers = 1
    running.start()
    yield running
    running.stop()


@pytest.mark.timeout(600)
def test_nothing_of_an_erased_person_is_left_on_any_disk(keeping: Running, examples: Path, tmp_path: Path) -> None:
    _enrol(keeping, tmp_path, examples)
    needles = _needles_of(keeping, NAME)
    eventually(lambda: "index" in grep(_disks(keeping), needles).get("vector, float16", set()))
    before = grep(_disks(keeping), needles)
    is_sealed = (keeping.data / "keys" / "wrapping").exists()
    for name in ("photo", "thumbnail", "chip"):
        assert "store" in before[f"{name}, as stored"], name
        assert ("store" in before.get(name, set())) is not is_sealed, name
    for name in ("vector, float16", "name", "external id"):
        assert "catalog" in before[name], name
    backups = tmp_path / "backups"
    old = keeping.answer("backup", str(backups))
    shelved = {stored.key for stored in _store(keeping).list("snapshots/")}

    receipt = keeping.answer("erase", NAME, "--now", "--yes", "--timeout", "200")

    assert receipt["closed_at"] is not None, receipt
    assert (receipt["faces"], receipt["photos"], receipt["left"]) == (1, 1, [])
    assert grep(_disks(keeping), needles) == {}
    assert not shelved & {stored.key for stored in _store(keeping).list("snapshots/") if "/segments/" not in stored.key}
    assert keeping.names(examples / "people/Grace Hopper/1.jpg", "default", after=receipt["sequence"]) == [OTHER]
    keeping.answer("backup", str(backups))
    restored = _restored(keeping, backups, old["backup"], tmp_path / "restored")
    assert grep([backups, restored], needles) == {}
    assert grep([restored], {"other": [OTHER.encode()]})


def test_a_receipt_names_ids_and_times_alone(keeping: Running, examples: Path) -> None:
    client = keeping.client(keeping.collection())
    job = client.people.add(NAME, [examples / "people/Eileen Collins/1.jpg"])["job"]
    client.jobs.wait(job)
    person = client.people.named(NAME)[0]["id"]

    receipt = client.people.delete(person)["erasure"]

    assert receipt["person"] == person
    assert {each["what"] for each in receipt["gone"]} == {"rows", "search"}
    assert {each["by"] for each in receipt["left"]} == {receipt["due_at"]}
    assert NAME not in str(receipt)
    assert next(client.erasures.list(state="open"))["id"] == receipt["id"]
    client.erasures.hasten(receipt["id"])
    closed = client.erasures.wait(receipt["id"], 120)
    assert closed["closed_at"] is not None, closed


def test_a_query_photo_is_in_no_file_after_everybody_who_had_it_was_killed(keeping: Running, examples: Path) -> None:
    photo = (examples / "queries/group.jpg").read_bytes()
    needles = {"query photo": windows(photo)}
    worker, gateway = (_pids(keeping, kind) for kind in ("interactive", "gateway"))
    for pid in worker:
        pause(pid)
    asked = threading.Thread(target=_search, args=(keeping, photo))
    asked.start()
    eventually(lambda: _is_with_the_broker(keeping))
    for pid in (*worker, *gateway):
        os.kill(pid, signal.SIGKILL)
    asked.join()

    assert grep(_disks(keeping), needles) == {}
    keeping.wait_until(lambda: keeping.health().get("status") == "ok")
    assert grep(_disks(keeping), needles) == {}


def _enrol(running: Running, folder: Path, examples: Path) -> None:
    """Somebody whose file is called as they are, and somebody else, who stays."""
    file = folder / f"{NAME}.jpg"
    file.write_bytes((examples / "people/Joe Biden/1.jpg").read_bytes())
    client = running.client()
    jobs = [
        client.people.add(NAME, [file], external_id=EXTERNAL_ID)["job"],
        client.people.add(OTHER, [examples / "people/Grace Hopper/1.jpg"])["job"],
    ]
    for job in jobs:
        assert client.jobs.wait(job)["rejected"] == 0


def _needles_of(running: Running, name: str) -> dict[str, list[bytes]]:
    """Whatever of somebody could lie on a disk: as it came, as it is kept, and as numbers."""
    catalog = Catalog(f"sqlite:///{running.data / 'catalog' / 'catalog.sqlite'}")
    with catalog.reading() as session:
        person = session.scalars(select(Person).where(Person.name == name)).one()
        face, photo = session.execute(
            select(Face, Photo).join(Photo, Photo.id == Face.photo_id).where(Face.person_id == person.id)
        ).one()
        vector = session.scalars(select(Embedding.vector).where(Embedding.face_id == face.id)).one()
    catalog.close()
    client, store = running.client(), _store(running)
    assert photo.thumbnail_key is not None
    assert face.chip_key is not None
    return {
        "photo": windows(client.photos.raw(photo.public_id)),
        "thumbnail": windows(client.photos.thumbnail(photo.public_id)),
        "chip": windows(client.faces.chip(face.public_id)),
        "photo, as stored": windows(store.get(photo.object_key)),
        "thumbnail, as stored": windows(store.get(photo.thumbnail_key)),
        "chip, as stored": windows(store.get(face.chip_key)),
        "vector, float16": windows(vector),
        "vector, float32": windows(np.frombuffer(vector, "<f2").astype("<f4").tobytes()),
        "name": [name.encode(), name.lower().encode()],
        "external id": [EXTERNAL_ID.encode()],
    }


def _restored(running: Running, backups: Path, backup: str, folder: Path) -> Path:
    """A new data folder, with a backup that was made before somebody was erased."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    if (key := running.data / "keys" / "wrapping").exists():
        environment["COLEGA_WRAPPING_KEYS_FILE"] = str(key)
    words = ["restore", str(backups), "--at", backup, "--data", str(folder), "--json"]
    command = [sys.executable, "-m", "services.cli.main", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["erased_again"] == 1
    return folder


def _disks(running: Running) -> list[Path]:
    return [running.data, running.data.parent / "tmp"]


def _store(running: Running) -> PhotoStore:
    return seaweedfs.store(Instance.read(running.data))


def _pids(running: Running, kind: str) -> list[int]:
    processes = running.client().send("GET", "/v1/status")["processes"]
    return [process["pid"] for process in processes if process["kind"] == kind]


def _search(running: Running, photo: bytes) -> None:
    with running.http() as http, suppress(httpx.HTTPError):
        http.post("/v1/search", files={"photo": ("group.jpg", photo)})


def _is_with_the_broker(running: Running) -> bool:
    instance = Instance.read(running.data)
    with redis.Redis.from_url(valkey.url(instance.ports[valkey.PORT], instance.secret("broker_password"))) as broker:
        return next(broker.scan_iter("colega:photo:*"), None) is not None
