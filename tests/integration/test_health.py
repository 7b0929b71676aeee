"""Health tells the truth of each part, whatever hangs, and in time. A gateway alone; what runs beside it is told by hand."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import delete, update

from services.broker.followed import HEADER, SENT_AT
from services.catalog import log
from services.catalog.collections import DEFAULT, by_name
from services.catalog.engine import Catalog
from services.catalog.erasing import ledger
from services.catalog.erasing.ledger import Asking
from services.catalog.running import processes
from services.catalog.schema import LogEntry, now
from services.catalog.tables.process import Lease, Process
from tests import gatewayed
from tests.gatewayed import Alone
from tests.pausing import pause
from tests.stack import Stack
from tests.waiting import eventually

pytestmark = pytest.mark.slow

KINDS = ("interactive", "searcher", "bulk", "maintenance")


class Store:
    """Answers where a photo store should: well, slowly, with an error, or never."""

    def __init__(self) -> None:
        self.status, self.delay_s = 200, 0.0
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                threading.Event().wait(store.delay_s)
                self.send_response(store.status)
                self.send_header("Content-Length", "0")
                self.send_header("Last-Modified", "Fri, 27 Nov 2026 10:00:00 GMT")
                self.send_header("ETag", '"0"')
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


class Watched:
    """A gateway, and the catalog, broker and store behind it."""

    def __init__(self, alone: Alone, catalog: Catalog, broker: Redis, store: Store) -> None:
        self.alone, self.catalog, self.broker, self.store = alone, catalog, broker, store

    def ready(self) -> httpx.Response:
        with self.alone.http() as http:
            return http.get("/health/ready")

    def state(self, part: str) -> str:
        return str(self.ready().json()["checks"][part])

    def becomes(self, part: str, state: str) -> None:
        eventually(lambda: self.state(part) == state)

    def beat(self, kind: str, **details: Any) -> None:
        """What such a process tells every few seconds."""
        with self.catalog.transaction() as session:
            told = {"clock_off_s": processes.clock_off_s(session), **details}
            processes.beat(session, f"{kind}@here:1", kind=kind, host="here", pid=1, details=told)
            session.execute(update(Process).values(started_at=now() - 3600))
            processes.acquire(session, "sweep", "here:1", 60)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, servers: Stack) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("health")
    broker_url, store = servers.empty_broker(), Store()
    with gatewayed.opened(folder, COLEGA_BROKER_URL=broker_url, COLEGA_PHOTOS_ENDPOINT=store.url) as alone:
        catalog = Catalog(f"sqlite:///{folder / 'catalog.sqlite'}")
        with Redis.from_url(broker_url) as broker:
            yield Watched(alone, catalog, broker, store)
        catalog.close()
    store.server.shutdown()
    store.server.server_close()


@pytest.fixture
def watched(opened: Watched) -> Watched:
    """All is well."""
    opened.broker.flushall()
    opened.store.status, opened.store.delay_s = 200, 0.0
    with opened.catalog.transaction() as session:
        session.execute(delete(Process))
        session.execute(delete(Lease))
    for kind in KINDS:
        opened.beat(kind)
    eventually(lambda: opened.ready().json()["status"] == "ok")
    return opened


@pytest.mark.parametrize(
    ("status", "delay_s", "state"), [(403, 0.0, "away"), (500, 0.0, "away"), (200, 30.0, "away"), (200, 1.2, "slow")]
)
def test_a_store_that_refuses_fails_hangs_or_is_slow(watched: Watched, status: int, delay_s: float, state: str) -> None:
    watched.store.status, watched.store.delay_s = status, delay_s

    watched.becomes("photos", state)

    answer = watched.ready()
    assert (answer.status_code, answer.json()["status"]) == (200, "ok" if state == "slow" else "degraded")
    assert {part for part, found in answer.json()["checks"].items() if found != "ok"} == {"photos"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_silent_is_away(watched: Watched, kind: str) -> None:
    with watched.catalog.transaction() as session:
        session.execute(update(Process).where(Process.kind == kind).values(seen_at=now() - 20))

    watched.becomes(kind, "away")


def test_searches_that_nobody_takes_out_are_told_of(watched: Watched) -> None:
    watched.broker.lpush("interactive", json.dumps({"headers": {HEADER: {SENT_AT: time.time() - 60}}}))

    watched.becomes("interactive", "stuck")


def test_maintenance_that_sweeps_nothing_is_told_of(watched: Watched) -> None:
    with watched.catalog.transaction() as session:
        session.execute(update(Lease).values(expires_at=now() - 1))

    watched.becomes("maintenance", "stuck")


@pytest.mark.parametrize(("behind", "reloading", "state"), [(1, False, "behind"), (0, True, "loading")])
def test_a_searcher_that_is_far_behind_or_loads_is_told_of(
    watched: Watched, behind: int, reloading: bool, state: str
) -> None:
    with watched.catalog.transaction() as session:
        collection = by_name(session, DEFAULT)
        head = log.append(session, collection.id, [log.Change("attributes")]).head
        session.execute(update(LogEntry).values(created_at=now() - 120))
    replica = dict.fromkeys(("faces", "people", "memory_mb", "reloads", "refused"), 0)
    told = {"collection": collection.id, "generation": 1, "sequence": head - behind, "reloading": reloading}

    watched.beat("searcher", replicas=[{**replica, **told, "epoch": collection.epoch, "trouble": ""}])

    watched.becomes("searcher", state)


def test_clocks_that_disagree_are_told_of(watched: Watched) -> None:
    watched.beat("bulk", clock_off_s=-3600.0)

    watched.becomes("clock", "off")


def test_a_writer_that_stays_is_told_of_and_reading_goes_on(watched: Watched) -> None:
    connection = sqlite3.connect(str(watched.catalog.url.database), isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        watched.becomes("catalog", "locked")
        answer = watched.ready()
    finally:
        connection.execute("ROLLBACK")
        connection.close()

    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")


def test_an_old_schema_is_told_of_and_nothing_else_is_known(watched: Watched) -> None:
    with watched.catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0002'")
    try:
        watched.becomes("catalog", "old")
        answer = watched.ready()
    finally:
        with watched.catalog.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = (SELECT '0005')")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert {answer.json()["checks"][kind] for kind in KINDS} == {"unknown"}


def test_a_disk_with_little_left_is_told_of_before_it_is_full(tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here: that takes root")
    try:
        with gatewayed.opened(tmp_path) as alone, alone.http() as http:
            low = http.get("/health/ready").json()["checks"]["disk"]
            (tmp_path / "ballast").write_bytes(bytes(60 * 2**20))
            eventually(lambda: http.get("/health/ready").json()["checks"]["disk"] == "full")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)

    assert low == "low"


@contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    with ExitStack() as stack:
        for pid in pids:
            pause(pid)
            stack.callback(os.kill, pid, signal.SIGCONT)
        yield


def test_while_the_catalog_hangs_health_metrics_and_status_are_answered(tmp_path: Path, servers: Stack) -> None:
    postgres = servers.postgres()
    url = postgres.new_database()
    with gatewayed.opened(tmp_path, catalog_url=url, COLEGA_GATEWAY_THREADS="3", COLEGA_CATALOG_BUSY_S="1") as alone:
        headers = {"Authorization": f"Bearer {alone.key}"}
        with alone.http(**headers) as http:
            http.get("/v1/status").raise_for_status()  # Who was here before is known.
            browser = {"Cookie": f"colega_session={alone.sign_in().cookies['colega_session']}", "Accept": "text/html"}
            with alone.http(**browser) as signed_in:
                assert signed_in.get("/status").status_code == 200
            refused: list[httpx.Response] = []

            def ask() -> None:
                with alone.http(**headers) as mine:
                    refused.append(mine.get("/v1/people"))

            with _stopped(postgres.processes()):
                many = [threading.Thread(target=ask) for _ in range(10)]
                for each in many:
                    each.start()
                eventually(lambda: http.get("/health/ready").json()["checks"]["catalog"] == "away")
                ready, metrics, status = (http.get(p) for p in ("/health/ready", "/metrics", "/v1/status"))
                with alone.http(**browser) as signed_in:
                    page, elsewhere = signed_in.get("/status"), signed_in.get("/people")
                stranger = alone.http(Authorization="Bearer colega_nobody")
                unknown = stranger.get("/v1/status")
                stranger.close()
                for each in many:
                    each.join()
            eventually(lambda: http.get("/health/ready").json()["checks"]["catalog"] == "ok")
            again = http.get("/v1/people")
    postgres.drop_database(url)

    assert (ready.status_code, ready.json()["status"]) == (503, "away")
    assert 'colega_part_up{part="catalog"} 0.0' in metrics.text
    assert status.json()["catalog"]["error"]
    assert page.status_code == 200
    assert "Catalog: does not answer" in page.text
    assert elsewhere.status_code == 503
    assert (unknown.status_code, unknown.json()["type"]) == (503, "/problems/catalog-unavailable")
    kinds = {"/problems/catalog-unavailable", "/problems/too-many-requests"}
    assert {(each.status_code, each.json()["type"] in kinds) for each in refused} == {(503, True)}
    assert all(int(each.headers["Retry-After"]) >= 1 for each in refused)
    assert again.status_code == 200


def test_duties_that_are_not_kept_are_told_to_who_has_a_key_and_are_no_matter_of_health(tmp_path: Path) -> None:
    with gatewayed.opened(tmp_path, COLEGA_AUDIT="false") as alone:
        catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
        with catalog.transaction() as session:
            gallery = by_name(session, DEFAULT)
            ledger.enter(session, gallery.id, 0, Asking(within_s=-60.0), person="per_1")
            gallery.retained = {"held": 12, "why": "clock"}
        catalog.close()
        with alone.http(Authorization=f"Bearer {alone.key}") as http:
            health, told = http.get("/health/ready").json(), http.get("/v1/status").json()
        cookie = f"colega_session={alone.sign_in().cookies['colega_session']}"
        with alone.http(Cookie=cookie, Accept="text/html") as browser:
            page = browser.get("/status").text
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "COLEGA_URL": alone.url,
            "COLEGA_API_KEY": alone.key,
        }
        command = [sys.executable, "-m", "services.cli.main", "status"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout

    assert set(health["checks"]) == {"catalog", "photos", "broker", *KINDS, "disk", "clock"}
    assert told["erasures"] == {"open": 1, "overdue": 1}
    for words in ("1 erasure is overdue", "12 people in default", "The audit is off", "Photos are not encrypted"):
        assert words in page
    for words in ("erasures: 1 overdue", "default: 12 people are due", "audit: off", "Nothing is encrypted"):
        assert words in said, said
