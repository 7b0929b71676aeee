"""A photo that is only looked at is never written to a file, and logs hold neither names nor keys nor vectors."""

import base64
import os
import re
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis

from tests.pausing import pause
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow

_SEGMENT = 60_000
_COPIES = 20
_VECTOR = re.compile(r"[A-Za-z0-9+/]{1000,}|(?:-?\d+\.\d+(?:e-?\d+)?[,\s]+){16}")
"""Of 512 numbers, as they are told: base64, or one after the other."""


def _marked(photo: bytes, mark: bytes) -> bytes:
    """The same picture, of more than a megabyte: comments that say *mark* stand in it."""
    comment = (mark * (_SEGMENT // len(mark) + 1))[:_SEGMENT]
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
    return photo[:2] + segment * _COPIES + photo[2:]


def _files(service: Running, since_s: float) -> Iterator[Path]:
    """What the service keeps, what its processes have open though it is deleted, and what is new in the folder for such files."""
    yield from (path for path in service.data.rglob("*") if path.is_file() and not path.is_symlink())
    for pid in _processes(service):
        yield from Path(f"/proc/{pid}/fd").iterdir()
    for path in Path("/tmp").iterdir():
        try:
            if path.is_file() and path.stat().st_mtime >= since_s:
                yield path
        except OSError:
            continue


def _processes(service: Running) -> set[int]:
    return {
        pid
        for part in ("gunicorn", "celery", "valkey", "weed", "searcher", "services.")
        for pid in service.processes(part)
    }


def _written(service: Running, mark: bytes, since_s: float) -> list[str]:
    found = []
    for path in _files(service, since_s):
        try:
            if path.is_file() and mark in path.read_bytes():  # A pipe or a socket is none.
                found.append(str(path))
        except OSError:
            continue
    return found


@pytest.fixture
def workers(service: Running) -> Iterator[list[int]]:
    """The processes that look at photos; they go on afterwards."""
    pids = service.processes("interactive")
    assert pids
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_a_query_photo_is_in_memory_and_in_no_file_while_it_waits(
    service: Running, examples: Path, workers: list[int]
) -> None:
    mark, since_s = secrets.token_hex(24).encode(), time.time()
    photo = _marked((examples / "queries" / "one.jpg").read_bytes(), mark)
    [gateway, *_] = service.processes("gunicorn")
    broker = Redis.from_url(_setting(gateway, "COLEGA_BROKER_URL"))
    before = broker.info("memory")["used_memory"]
    for pid in workers:
        pause(pid)

    with service.http() as http:
        asking = threading.Thread(target=lambda: http.post("/v1/search", files={"photo": ("a.jpg", photo)}))
        asking.start()
        eventually(lambda: broker.info("memory")["used_memory"] > before + len(photo) // 2)
        written = _written(service, mark, since_s)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        asking.join()

    assert written == []
    assert broker.config_get("save")["save"] == ""
    assert broker.config_get("appendonly")["appendonly"] == "no"


LOOKED_AT: dict[str, Callable[[httpx.Client, bytes], httpx.Response]] = {
    "search": lambda http, photo: http.post("/v1/search", files={"photo": photo}),
    "verify": lambda http, photo: http.post("/v1/verify", files={"a": photo, "b": photo}),
    "detect": lambda http, photo: http.post("/v1/detect", params={"preview": 256}, files={"photo": photo}),
    "represent": lambda http, photo: http.post("/v1/represent", files={"photo": photo}),
    "recognize": lambda http, photo: http.post("/api/v1/recognition/recognize", files={"file": photo}),
    "recognize base64": lambda http, photo: http.post(
        "/api/v1/recognition/recognize", json={"file": base64.b64encode(photo).decode()}
    ),
    "facade detect": lambda http, photo: http.post("/api/v1/detection/detect", files={"file": photo}),
    "facade verify": lambda http, photo: http.post(
        "/api/v1/verification/verify", files={"source_image": photo, "target_image": photo}
    ),
}


def test_no_endpoint_that_looks_at_a_photo_leaves_it_anywhere(service: Running, examples: Path) -> None:
    mark, since_s = secrets.token_hex(24).encode(), time.time()
    photo = _marked((examples / "queries" / "one.jpg").read_bytes(), mark)
    with service.http(headers={"x-api-key": str(service.instance()["api_key"])}) as http:
        statuses = {name: ask(http, photo).status_code for name, ask in LOOKED_AT.items()}

    assert set(statuses.values()) <= {200, 403}, statuses
    assert statuses["represent"] == 403
    assert _written(service, mark, since_s) == []


def test_logs_hold_no_name_no_key_and_no_file_name(service: Running, gallery: str, examples: Path) -> None:
    name, external, file = (f"{word}{secrets.token_hex(5)}" for word in ("Privatissima", "emp", "holiday"))
    photo = examples / "people" / "Joe Biden" / "1.jpg"
    key = service.client().keys.create(f"Doorman{external}", ["search", "read", "enrol", "manage"])
    told = [name, external, file, key["secret"], key["secret"][7:]]
    with service.http(params={"collection": gallery}, headers={"Authorization": f"Bearer {key['secret']}"}) as http:
        form = {"person": name, "external_id": external}
        taken = http.post("/v1/photos", data=form, files={"photo": (f"{file}.jpg", photo.read_bytes())}).json()
        job = service.ended(taken["job"], gallery)
        http.get("/v1/people", params={"name": name, "query": name})
        http.get("/v1/search", params={"where": f"name={name}"})
        http.post("/v1/search", params={"after": job["sequence"]}, files={"photo": (f"{file}.jpg", photo.read_bytes())})
        http.post("/v1/search", files={"photo": (f"{file}.jpg", b"\xff\xd8\xff no picture")})
        http.post("/v1/photos", data={"person": name}, files={"photo": (f"{file}.jpg", b"\xff\xd8\xff no picture")})
        http.get(f"/v1/people/{name}")
        http.post(
            "/v1/people", content=f'{{"name": "{name}", "rank": 1}}', headers={"Content-Type": "application/json"}
        )
        http.get("/v1/people", headers={"Authorization": f"Bearer {key['secret']}x"})
        http.post("/sign-in", data={"key": f"{key['secret']}y"})
    logs = [path for path in (*(service.data / "logs").rglob("*"), service.data / "up.log") if path.is_file()]

    said = {path.name: path.read_text("utf-8", "replace") for path in logs}
    leaks = [(path, one) for path, text in said.items() for one in told if one in text]
    vectors = [path for path, text in said.items() if _VECTOR.search(text)]

    assert logs
    assert (leaks, vectors) == ([], [])


def _setting(pid: int, name: str) -> str:
    """As a process was started with it."""
    for pair in Path(f"/proc/{pid}/environ").read_text().split("\0"):
        if pair.startswith(f"{name}="):
            return pair.partition("=")[2]
    raise AssertionError(name)
