"""The audit as those see it who ask for it: what is in it, what is not, and what happens when it cannot be written."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.catalog.auditing import verifying as audit_verify
from services.catalog.engine import Catalog
from services.cli.client import Client
from services.cli.service import Document, ServiceError
from tests import gatewayed
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def client(service: Running, enrolled: str) -> Client:
    return service.client(enrolled)


def entries(client: Client, **wanted: Any) -> list[Document]:
    return list(client.audit.list(**{"collection": client.collection, **wanted}))


def text_of(catalog: Path) -> str:
    """Everything that the audit's tables hold."""
    with closing(sqlite3.connect(f"file:{catalog}?mode=ro", uri=True)) as connection:
        tables = ("audit", "audit_chains", "audit_heads", "audit_intents")
        return repr([connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables])


def test_a_search_tells_ids_and_counts_and_nothing_says_who_anybody_is(
    service: Running, client: Client, examples: Path
) -> None:
    photo = examples / "queries" / "group.jpg"
    answer = client.search(photo)
    people = {face["matches"][0]["person"]["id"] for face in answer["faces"] if face["decision"] == "match"}
    renamed = client.people.named("Grace Hopper")[0]["id"]
    client.people.rename(renamed, "Admiral Unheard-of")
    with pytest.raises(ServiceError):
        client.people.show("Somebody Unheard-of")
    with pytest.raises(ServiceError):
        client.people.delete("Somebody Unheard-of")

    [row] = entries(client, action="search")
    assert (row["outcome"], row["object"], row["details"]["faces"]) == (200, None, len(answer["faces"]))
    assert set(row["details"]["named"]) == people
    assert row["details"]["threshold"] == pytest.approx(answer["threshold"], abs=1e-6)
    [change] = entries(client, action="person.change", person=renamed)
    assert (change["object"], change["details"]) == (renamed, {"fields": ["name"]})
    assert row in entries(client, person=next(iter(people)))
    [refused] = entries(client, action="person.erase")
    assert (refused["object"], refused["outcome"]) == (None, 404)
    told = text_of(service.data / "catalog" / "catalog.sqlite").lower()
    names = [word for person in (examples / "people").iterdir() for word in person.name.lower().split()]
    for word in (*names, "unheard-of", photo.name, ".jpg", str(service.instance()["api_key"]).lower()):
        assert word not in told


def test_originals_previews_exports_and_keys_are_told_of(client: Client) -> None:
    person = next(client.people.list())["id"]
    photo = client.people.show(person)["shown_in"][0]["photo_id"]
    client.photos.raw(photo)
    client.people.export(person)
    client.send("POST", "/v1/detect", query={"preview": 64}, body={"photo_id": photo})
    made = client.keys.create("for one", ["admin", "search"], collections=[client.collection])
    theirs = Client(client.url, made["secret"], collection=client.collection)
    with theirs, pytest.raises(ServiceError):
        theirs.audit.verify()
    with pytest.raises(ServiceError), Client(client.url, "nobody's") as nobody:
        nobody.photos.raw(photo)

    done = {(one["action"], one["object"], one["outcome"]) for one in entries(client)}
    assert {("photo.raw", photo, 200), ("person.export", person, 200), ("photo.preview", photo, 200)} <= done
    whole = list(client.audit.list(key=None, limit=500))
    assert ("key.create", made["id"]) in {(one["action"], one["object"]) for one in whole}
    assert ("photo.raw", None, 401) in {(one["action"], one["key"], one["outcome"]) for one in whole}
    assert ("audit.verify", made["id"], 403) in {(one["action"], one["key"], one["outcome"]) for one in whole}


def test_a_key_of_one_collection_sees_what_was_done_in_it(service: Running, client: Client) -> None:
    other = service.collection()
    service.client(other).people.add("Somebody", [])
    made = client.keys.create("for one", ["admin"], collections=[client.collection])
    with Client(client.url, made["secret"], collection=client.collection) as theirs:
        seen = {one["collection"] for one in theirs.audit.list(collection=client.collection)}
        with pytest.raises(ServiceError) as refused:
            list(theirs.audit.list(collection=other))

    assert seen == {client.collection}
    assert refused.value.status == 404


def test_signing_in_and_out_is_told_of(service: Running) -> None:
    instance = service.instance()
    with httpx.Client(base_url=str(instance["url"]), headers={"Origin": str(instance["url"])}, timeout=30) as browser:
        browser.post("/sign-in", data={"key": "nobody's"})
        began = browser.post("/sign-in", data={"key": instance["api_key"]}, headers={"Accept": "application/json"})
        browser.post("/sign-out", headers={"X-CSRF-Token": began.json()["csrf_token"]})

    told = [(one["action"], one["outcome"]) for one in service.client().audit.list(action="session", order="oldest")]
    assert ("session.failed", 401) in told
    assert [one for one in told if one[0] != "session.failed"][-2:] == [("session.begin", 200), ("session.end", 303)]


def test_frames_of_a_camera_are_one_entry(service: Running, client: Client, examples: Path) -> None:
    made = client.keys.create("camera", ["search"], collections=[client.collection])
    with Client(client.url, made["secret"], collection=client.collection) as camera:
        for _ in range(5):
            found = camera.search(examples / "queries" / "one.jpg", mode="frame")
        person = found["faces"][0]["matches"][0]["person"]["id"]
        camera.live.match("door", person, 0.9)

    assert entries(client, key=made["id"]) == []  # Not before its minute is over.
    with closing(sqlite3.connect(service.data / "catalog" / "catalog.sqlite")) as connection:
        intents = connection.execute("SELECT action FROM audit_intents WHERE key = ?", [made["id"]]).fetchall()
    assert intents == [("live.camera",)]


def test_the_audit_is_listed_exported_and_verified_on_the_command_line(
    service: Running, client: Client, examples: Path, tmp_path: Path
) -> None:
    client.search(examples / "queries" / "one.jpg")

    listed = service.answer("audit", "list", "--action", "search", collection=client.collection)
    exported = service.colega("audit", "export", str(tmp_path / "audit.jsonl"))
    verified = service.colega("audit", "verify", "--heads", str(tmp_path / "audit.jsonl"), "--json")

    assert [one["action"] for one in listed] == ["search.photo"]
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()]
    assert exported.returncode == verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["heads"] == len(lines) > 0
    forged = lines[0] | {"hash": "0" * 64}
    (tmp_path / "forged.jsonl").write_text(json.dumps(forged))
    differing = service.colega("audit", "verify", "--heads", str(tmp_path / "forged.jsonl"))
    assert (differing.returncode, "head_changed" in differing.stdout) == (1, True)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[gatewayed.Alone]:
    with gatewayed.opened(tmp_path, COLEGA_CATALOG_BUSY_S="0.3") as gateway:
        yield gateway


def test_what_cannot_be_written_down_is_neither_done_nor_told(alone: gatewayed.Alone, tmp_path: Path) -> None:
    with alone.http(Authorization=f"Bearer {alone.key}") as http, closing(_locker(tmp_path)) as locker:
        before = http.get("/v1/audit").json()["items"]
        locker.execute("BEGIN IMMEDIATE")
        refused = [http.post("/v1/collections", json={"name": "one"}), http.get("/v1/audit")]
        live = http.get("/health/live")
        locker.rollback()
        eventually(lambda: http.get("/v1/audit").status_code == 200)
        after = http.get("/v1/audit", params={"limit": 200}).json()["items"]
        collections = [one["name"] for one in http.get("/v1/collections").json()["items"]]
        verified = http.post("/v1/audit/verify").json()

    assert [one.status_code for one in refused] == [503, 503]
    assert all(one.headers["Retry-After"] for one in refused)
    assert live.status_code == 200
    assert "one" not in collections
    assert ("collection.create", 503) in {(one["action"], one["outcome"]) for one in after}
    assert len(after) > len(before)
    assert verified["sound"]


def _locker(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "catalog.sqlite", isolation_level=None)


def test_a_gateway_that_is_killed_leaves_a_whole_chain_that_has_not_ended(tmp_path: Path) -> None:
    with gatewayed.opened(tmp_path) as gateway:
        with gateway.http(Authorization=f"Bearer {gateway.key}") as http:
            assert http.post("/v1/collections", json={"name": "one"}).status_code == 201
        workers = _below(gateway.pid)
        for process in (gateway.pid, *workers):
            os.kill(process, signal.SIGKILL)
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"

    killed = _verified(url)
    with gatewayed.opened(tmp_path) as gateway, gateway.http(Authorization=f"Bearer {gateway.key}") as http:
        told = http.get("/v1/audit", params={"action": "collection"}).json()["items"]
        running = http.post("/v1/audit/verify").json()
    ended = _verified(url)

    assert [(one["action"], one["outcome"], one["collection"]) for one in told] == [("collection.create", 201, "one")]
    assert (killed.problem_count, len(killed.not_ended)) == (0, 1)
    assert (running["sound"], len(running["not_ended"])) == (True, 2)
    assert (ended.problem_count, ended.not_ended) == (0, killed.not_ended)


def test_a_gateway_that_is_reloaded_ends_its_chain_begins_another_and_misses_nothing(tmp_path: Path) -> None:
    made = 0
    with gatewayed.opened(tmp_path) as gateway:

        def make() -> None:
            nonlocal made
            with gateway.http(Authorization=f"Bearer {gateway.key}") as http:
                assert http.post("/v1/collections", json={"name": f"c{made}"}).status_code == 201
            made += 1

        make()
        before = _below(gateway.pid)
        os.kill(gateway.pid, signal.SIGHUP)
        while set(before) & set(_below(gateway.pid)):
            make()
        make()
        with gateway.http(Authorization=f"Bearer {gateway.key}") as http:
            told = http.get("/v1/audit", params={"action": "collection.create", "limit": 500}).json()["items"]
            running = http.post("/v1/audit/verify").json()
    ended = _verified(f"sqlite:///{tmp_path / 'catalog.sqlite'}")

    assert sorted(one["collection"] for one in told) == sorted(f"c{number}" for number in range(made))
    assert len({one["chain"] for one in told}) == 2
    assert (running["sound"], len(running["not_ended"])) == (True, 1)
    assert (ended.problem_count, ended.not_ended) == (0, [])


def _below(parent: int) -> list[int]:
    """The processes that *parent* has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def _verified(url: str) -> audit_verify.Findings:
    catalog = Catalog(url)
    try:
        with catalog.reading() as session:
            return audit_verify.verify(session)
    finally:
        catalog.close()
