"""Backups of the whole service while it runs, and every store lost in turn: the same people in the same order afterwards."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running

pytestmark = pytest.mark.slow


def answers(service: Running, collection: str, examples: Path) -> list[tuple[str, float]]:
    """Who the queries show, the nearest first, and how similar they are."""
    client = service.client(collection)
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
    service: Running, enrolled: str, examples: Path, tmp_path: Path
) -> None:
    before = answers(service, enrolled, examples)
    data = tmp_path / "elsewhere"
    made = service.answer("backup")
    place, missing = made["destination"], made["missing"]  # Other tests have lost photos of theirs.
    lossy = 1 if missing else 0

    refused = colega(data, "restore", place, status=3)  # Without the wrapping key, which is in no backup.
    (data / "keys").mkdir(mode=0o700)
    shutil.copy2(service.data / "keys" / "wrapping", data / "keys" / "wrapping")
    restored = colega(data, "restore", place, status=lossy)
    (data / "catalog" / "catalog.sqlite").unlink()
    catalog_only = colega(data, "restore", place, "--only", "catalog")
    shutil.rmtree(data / "store")
    objects_only = colega(data, "restore", place, "--only", "objects", status=lossy)
    again = Running(data)
    again.start()  # Its index and its broker are new: nothing of them is restored.
    try:
        after = answers(again, enrolled, examples)
        check = again.answer("check", collection=enrolled)
    finally:
        again.stop()

    assert "COLEGA_WRAPPING_KEYS" in refused
    assert (restored["lost"], restored["objects"]) == (missing, made["count"])
    assert (catalog_only["rows"], catalog_only["lost"]) == (restored["rows"], 0)
    assert (objects_only["objects"], objects_only["lost"]) == (made["count"], missing)
    assert [person for person, _ in after] == [person for person, _ in before]
    assert [similarity for _, similarity in after] == pytest.approx([s for _, s in before], abs=1e-3)
    assert check["ok"], check


def test_a_backup_is_a_job_of_the_service_or_written_from_here(service: Running, enrolled: str) -> None:
    del enrolled
    by_job = service.answer("backup")
    from_here = service.answer("backup", by_job["destination"])
    listed = list(service.client().backups.list())[:2]
    told = service.answer("backup", "list", by_job["destination"])
    verified = service.answer("backup", "verify", by_job["destination"], "--at", from_here["backup"])

    assert from_here["missing"] == by_job["missing"]  # Other tests have lost photos of theirs.
    assert from_here["new"] == 0
    assert [one["id"] for one in listed] == [from_here["backup"], by_job["backup"]]
    assert [one["job"] for one in listed] == [None, by_job["job"]]
    assert [one["backup"] for one in told][-2:] == [by_job["backup"], from_here["backup"]]
    assert verified["ok"]
    with service.http() as http:
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
    from services.local import seaweedfs
    from services.local.instance import Instance

    store = seaweedfs.store(Instance.read(service.data))
    lost = [stored.key for stored in store.list("photos/") if stored.key.endswith(photo_id)]
    store.delete_many(lost)
    return len(lost)
