"""Backups of the whole service while it runs, and every store lost in turn: the same people in the same order afterwards."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.local import seaweedfs
from services.local.instance import Instance
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backed(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Iterator[Running]:
    """A service of its own with the people of ``examples/``: a backup is of all that a service has."""
    folder = tmp_path_factory.mktemp("backed")
    service = Running(folder / "data", COLEGA_BACKUP_FOLDER=str(folder / "backups"))
    service.start()
    try:
        service.answer("import", str(examples / "people"))
        yield service
    finally:
        service.stop()


def answers(service: Running, examples: Path) -> list[tuple[str, float]]:
    """Who the queries show, the nearest first, and how similar they are."""
    client = service.client()
    found = [client.search(path, k=5) for path in sorted((examples / "queries").glob("*.jpg"))]
    return [
        (match["person"]["id"], match["similarity"])
        for answer in found
        for face in sorted(answer["faces"], key=lambda face: face["box"]["x"])
        for match in face["matches"]
    ]


def colega(data: Path, *words: str, status: int = 0) -> Any:
    """What a command says with ``--json``, with nothing running."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(data), "LC_ALL": "C.UTF-8", "COLEGA_DATA": str(data)}
    command = [sys.executable, "-m", "services.cli.main", *words, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.mark.timeout(600)
def test_each_store_is_lost_in_turn_and_the_same_people_are_found_in_the_same_order(
    backed: Running, examples: Path, tmp_path: Path
) -> None:
    before = answers(backed, examples)
    data = tmp_path / "elsewhere"
    made = backed.answer("backup")
    place = made["destination"]

    refused = colega(data, "restore", place, status=3)  # Without the wrapping key, which is in no backup.
    (data / "keys").mkdir(mode=0o700)
    shutil.copy2(backed.data / "keys" / "wrapping", data / "keys" / "wrapping")
    restored = colega(data, "restore", place)
    (data / "catalog" / "catalog.sqlite").unlink()
    catalog_only = colega(data, "restore", place, "--only", "catalog")
    shutil.rmtree(data / "store")
    objects_only = colega(data, "restore", place, "--only", "objects")
    again = Running(data)
    again.start()  # Its index and its broker are new: nothing of them is restored.
    try:
        after = answers(again, examples)
        check = again.answer("check")
    finally:
        again.stop()

    assert "COLEGA_WRAPPING_KEYS" in refused
    assert (made["missing"], restored["lost"], restored["objects"]) == (0, 0, made["count"])
    assert (catalog_only["rows"], catalog_only["lost"]) == (restored["rows"], 0)
    assert (objects_only["objects"], objects_only["lost"]) == (made["count"], 0)
    assert [person for person, _ in after] == [person for person, _ in before]
    assert [similarity for _, similarity in after] == pytest.approx([s for _, s in before], abs=1e-3)
    assert check["ok"], check


def test_a_backup_is_a_job_of_the_service_or_written_from_here(backed: Running) -> None:
    by_job = backed.answer("backup")
    from_here = backed.answer("backup", by_job["destination"])
    listed = list(backed.client().backups.list())[:2]
    told = backed.answer("backup", "list", by_job["destination"])
    verified = backed.answer("backup", "verify", by_job["destination"], "--at", from_here["backup"])

    assert (from_here["missing"], from_here["new"]) == (by_job["missing"], 0)
    assert [one["id"] for one in listed] == [from_here["backup"], by_job["backup"]]
    assert [one["job"] for one in listed] == [None, by_job["job"]]
    assert [one["backup"] for one in told][-2:] == [by_job["backup"], from_here["backup"]]
    assert verified["ok"]
    with backed.http() as http:
        assert http.post("/v1/backups", json={"destination": "../elsewhere"}).status_code == 422


def test_a_lost_photo_comes_back_by_being_imported_again(service: Running, enrolled: str, examples: Path) -> None:
    [face] = service.client(enrolled).search(examples / "queries" / "one.jpg")["faces"]
    photo_id = face["matches"][0]["photo_id"]
    number = lose(service, photo_id)

    with service.http() as http:
        assert http.get(f"/v1/photos/{photo_id}/raw?collection={enrolled}").status_code == 404
    done = service.answer("import", str(examples / "people"), collection=enrolled)
    with service.http() as http:
        raw = http.get(f"/v1/photos/{photo_id}/raw?collection={enrolled}")

    assert number == 1
    assert done["duplicate"] == done["files"]
    assert raw.status_code == 200
    assert raw.content in {path.read_bytes() for path in (examples / "people").rglob("*.jpg")}


def lose(service: Running, photo_id: str) -> int:
    """Have the store lose the raw photo; how many objects that were."""
    store = seaweedfs.store(Instance.read(service.data))
    lost = [stored.key for stored in store.list("photos/") if stored.key.endswith(photo_id)]
    store.delete_many(lost)
    return len(lost)
