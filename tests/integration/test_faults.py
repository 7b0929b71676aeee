"""With a part away: a clear refusal, nothing half-written, and all that was acknowledged is there afterwards."""

import os
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.cli.service import ServiceError
from tests.pausing import pause
from tests.running import Running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service of this module's own: its parts are stopped."""
    running = Running(tmp_path_factory.mktemp("faults") / "data", COLEGA_CATALOG_BUSY_S="1")
    running.start()
    yield running
    running.stop()


@contextmanager
def _stopped(service: Running, part: str) -> Iterator[None]:
    pids = service.processes(part)
    assert pids
    for pid in pids:
        pause(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_without_the_photo_store_nothing_is_taken_and_nothing_is_left(
    service: Running, gallery: str, examples: Path
) -> None:
    photo = examples / "people" / "Joe Biden" / "1.jpg"
    client = service.client(gallery)
    with _stopped(service, "weed"):
        with pytest.raises(ServiceError) as refused:
            client.people.add("Joe Biden", [photo])
        health = service.health()

    assert (refused.value.status, refused.value.problem["type"]) == (503, "/problems/photo-store-unavailable")
    assert (health["status"], health["checks"]["photos"]) == ("degraded", "away")
    service.wait_until(lambda: service.health().get("status") == "ok")
    added = service.answer("people", "add", "Joe Biden", str(photo), collection=gallery)
    assert service.names(photo, gallery, added["job"]["sequence"]) == ["Joe Biden"]


def test_without_the_broker_a_search_is_refused_and_an_upload_is_kept(
    service: Running, gallery: str, examples: Path
) -> None:
    photo = examples / "people" / "Grace Hopper" / "1.jpg"
    client = service.client(gallery)
    for pid in service.processes("valkey"):
        os.kill(pid, signal.SIGKILL)  # Its data is gone; the supervisor starts it again, empty.
    taken = client.send("POST", "/v1/photos", form={"person": "Grace"}, photos=[("photo", photo)])

    job = service.ended(taken["job"], gallery)

    assert job["done"] == 1
    assert service.names(photo, gallery, job["sequence"]) == ["Grace"]


def test_while_the_broker_hangs_a_search_says_so_within_its_deadline(
    service: Running, gallery: str, examples: Path
) -> None:
    searcher = service.processes("workers.searcher")
    for pid in searcher:
        pause(pid)
    try:
        with service.http(params={"collection": gallery}) as http:
            answer = http.post("/v1/search", files={"photo": (examples / "queries" / "one.jpg").read_bytes()})
    finally:
        for pid in searcher:
            os.kill(pid, signal.SIGCONT)

    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/no-answer-in-time")
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_writer_that_holds_the_catalog_is_waited_for_and_then_named(service: Running, gallery: str) -> None:
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(service.data / "catalog" / "catalog.sqlite", isolation_level=None, timeout=10)
        connection.execute(
            "UPDATE api_keys SET used_at = 0"
        )  # A key's use is noted from time to time, which is a write, too.
        connection.execute("BEGIN IMMEDIATE")
        held.set()
        release.wait(60)
        connection.execute("ROLLBACK")
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    try:
        with service.http(params={"collection": gallery}) as http:
            refused = http.post("/v1/people", json={"name": "Ana"})
            reading = http.get("/v1/people")
    finally:
        release.set()
        holder.join()

    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/catalog-unavailable")
    assert reading.status_code == 200
    assert service.client(gallery).send("POST", "/v1/people", body={"name": "Ana"})["name"] == "Ana"


STOPPED = {"interactive": "-Q interactive", "searcher": "workers.searcher", "maintenance": "-Q maintenance"}


@pytest.mark.skipif(not os.environ.get("COLEGA_SOAK"), reason="takes half a minute; runs with COLEGA_SOAK set")
@pytest.mark.parametrize("children_too", [False, True])
def test_what_is_stopped_is_told_of_and_the_rest_works(
    service: Running, gallery: str, examples: Path, children_too: bool
) -> None:
    photo = (examples / "queries" / "one.jpg").read_bytes()
    pids = {pid for part in STOPPED.values() for pid in service.processes(part)}
    if not children_too:  # Only who hands out the work: its children beat on, and get none.
        pids = {pid for pid in pids if _parent(pid) not in pids}
    for pid in pids:
        pause(pid)
    try:
        service.wait_until(lambda: all(service.health()["checks"][kind] == "away" for kind in STOPPED))
        health = service.health()
        with service.http(params={"collection": gallery}) as http:
            searched = http.post("/v1/search", files={"photo": photo})
            read, told = http.get("/v1/people"), http.get("/v1/status")
            taken = http.post("/v1/photos", data={"person": "Ana"}, files={"photo": photo})
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    assert {health["checks"][part] for part in ("photos", "broker")} <= {"ok", "slow"}
    service.wait_until(lambda: service.health().get("status") == "ok")
    if health["checks"]["catalog"] == "locked":  # One was stopped while it wrote: true, and another story.
        return
    assert (searched.status_code, searched.json()["type"]) == (503, "/problems/no-answer-in-time")
    assert (read.status_code, told.status_code, taken.status_code) == (200, 200, 202)
    assert {told.json()["checks"][kind] for kind in STOPPED} == {"away"}
    assert service.ended(taken.json()["job"], gallery)["done"] == 1


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[1])


HOSTILE = ("pillow_timeout-", "pillow_oom-", "pillow_crash-", "pillow_libtiff_segfault")


def test_hostile_photos_are_refused_while_others_are_answered(
    service: Running, gallery: str, examples: Path, shared: Path
) -> None:
    service.client(gallery).imports.create(examples / "people")
    hostile = [p for p in sorted((shared / "data" / "odd_files").iterdir()) if p.name.startswith(HOSTILE)]
    good = (examples / "queries" / "one.jpg").read_bytes()
    refused: dict[str, int] = {}
    answered: list[int] = []

    def attack(part: int) -> None:
        with service.http(params={"collection": gallery}) as http:
            for path in hostile[part::8]:
                refused[path.name] = http.post("/v1/search", files={"photo": path.read_bytes()}).status_code

    attackers = [threading.Thread(target=attack, args=(n,)) for n in range(8)]
    for attacker in attackers:
        attacker.start()
    with service.http(params={"collection": gallery}) as http:
        while any(attacker.is_alive() for attacker in attackers) or len(answered) < 5:
            answered.append(http.post("/v1/search", files={"photo": good}).status_code)
    for attacker in attackers:
        attacker.join()

    assert len(refused) == len(hostile) > 5
    assert set(refused.values()) <= {200, 413, 415, 422}  # Some decode after all, to a picture without a face.
    assert set(answered) == {200}


@pytest.mark.parametrize(
    "part", ["gunicorn", "workers.searcher", "-Q interactive", "-Q enrol,bulk,rebuild", "weed", "valkey"]
)
def test_a_part_killed_in_the_middle_of_an_import_loses_and_doubles_nothing(
    service: Running, gallery: str, examples: Path, part: str
) -> None:
    photos = sorted((examples / "people").rglob("*.jpg"))
    client = service.client(gallery)
    job = client.imports.open("killed", expected=len(photos))
    for photo in photos[:3]:
        client.imports.upload(job, [(str(photo), photo.read_bytes())], [{"person": photo.parent.name}])

    for pid in service.processes(part):
        os.kill(pid, signal.SIGKILL)
    service.wait_until(lambda: service.health().get("checks", {}).get("catalog") == "ok")
    again = service.answer("import", str(examples / "people"), collection=gallery)
    client.imports.close(job)
    service.ended(job, gallery)

    assert again["done"] + again["duplicate"] == len(photos)
    assert sorted((p["name"], p["faces"]) for p in client.people.list()) == [
        ("Barack Obama", 2),
        ("Eileen Collins", 1),
        ("Grace Hopper", 1),
        ("Joe Biden", 1),
    ]
    service.wait_until(lambda: service.health().get("status") == "ok")
    assert service.names(examples / "queries" / "one.jpg", gallery) == ["Barack Obama"]


def test_an_upload_that_finds_no_room_is_refused_whole(service: Running, gallery: str, examples: Path) -> None:
    service.wait_until(lambda: service.health().get("status") == "ok")
    gateway = service.processes("gunicorn")
    [spool] = [path for path in (service.data / "spool").iterdir() if int(path.name) in gateway]
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(spool)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    try:
        photo = examples / "queries" / "group.jpg"
        assert photo.stat().st_size > 64 * 1024
        with service.http(params={"collection": gallery}) as http:
            refused = http.post("/v1/photos", data={"person": "A"}, files={"photo": photo.read_bytes()})
            small = http.post("/v1/people", json={"name": "Ana"})
            searched = http.post("/v1/search", files={"photo": photo.read_bytes()})
    finally:
        subprocess.run(["umount", str(spool)], check=True)

    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/disk-full")
    assert (small.status_code, searched.status_code) == (201, 200)  # A query photo needs no disk.
