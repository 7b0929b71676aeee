"""Computations from their row to their end, with small verbs that show what a workbench promises."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.broker.send import Queue
from services.catalog import collections, computations, evaluations
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.schema import Job
from services.errors import InvalidRequest
from services.photos import keys
from services.photos.store import PhotoStore
from tests import vaults
from workers import computing, upkeep
from workers.computing import Parts, Verb
from workers.models.registry import Registry
from workers.workbench import Workbench

pytestmark = pytest.mark.slow

Wanted = Mapping[str, Any]


class Bureau:
    """Jobs that compute, and the process that computes them."""

    def __init__(self, catalog: Catalog, store: PhotoStore, folder: Path) -> None:
        self.catalog = catalog
        registry = Registry(catalog, store, folder / "models", max_pixels=10**6)
        self.parts = Parts(catalog, vaults.sealed(store, catalog), registry, "here:1", folder / "computing", 10**6)

    def job(self, kind: str = "calibration", **parameters: Any) -> int:
        with self.catalog.transaction() as session:
            gallery = collections.by_name(session, collections.DEFAULT)
            return computations.create(session, gallery.id, kind, parameters).id

    def run(self, job_id: int, verb: Verb, **parts: Any) -> None:
        computing.run(job_id, Parts(**{**fields(self.parts), **parts}), lambda _: verb)

    def told(self, job_id: int) -> jobs.Progress:
        with self.catalog.reading() as session:
            return jobs.progress(session, session.get_one(Job, job_id))

    def error(self, job_id: int) -> str | None:
        with self.catalog.reading() as session:
            return session.get_one(Job, job_id).error


def fields(parts: Parts) -> dict[str, Any]:
    return {name: getattr(parts, name) for name in Parts.__slots__}


@pytest.fixture
def bureau(catalog: Catalog, photo_store: PhotoStore, tmp_path: Path) -> Bureau:
    return Bureau(catalog, photo_store, tmp_path)


def test_a_computation_ends_with_its_result_and_what_it_told_last(bureau: Bureau) -> None:
    def verb(wanted: Wanted, bench: Workbench) -> Wanted:
        bench.tell({"stage": "half", "loss": float("nan")})
        return {"twice": 2 * wanted["number"], "rate": float("inf"), "list": (1, 2)}

    job = bureau.job(number=21)
    bureau.run(job, verb)

    told = bureau.told(job)
    assert told.state == "done"
    assert told.finished_at is not None
    assert told.computation is not None
    assert told.computation.result == {"twice": 42, "rate": None, "list": [1, 2], "files": []}
    assert told.computation.progress == {"stage": "half", "loss": None}
    assert not list(bureau.parts.folder.iterdir())


def _refuses(_wanted: Wanted, _bench: Workbench) -> Wanted:
    raise InvalidRequest("There is one person only. Import more.")


def _breaks(wanted: Wanted, _bench: Workbench) -> Wanted:
    return {"never": wanted["such a thing"]}


def _lacks_torch(_wanted: Wanted, _bench: Workbench) -> Wanted:
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


@pytest.mark.parametrize(
    ("verb", "problem", "error"),
    [
        (_refuses, "invalid-request", "There is one person only. Import more."),
        (_breaks, "internal", "The log of the training worker says what."),
        (_lacks_torch, "cannot-start", "torch is not installed. Run: "),
    ],
)
def test_a_computation_that_fails_says_why(bureau: Bureau, verb: Verb, problem: str, error: str) -> None:
    job = bureau.job()

    bureau.run(job, verb)

    told = bureau.told(job)
    assert told.computation is not None
    assert (told.state, told.computation.problem) == ("failed", problem)
    assert error in (bureau.error(job) or "")


def test_a_cancelled_computation_stops_at_what_it_tells_next(bureau: Bureau) -> None:
    begun, gone_on = threading.Event(), threading.Event()

    def verb(_wanted: Wanted, bench: Workbench) -> Wanted:
        begun.set()
        while True:
            bench.tell({"step": 1})
            gone_on.wait(0.01)

    job = bureau.job()
    thread = threading.Thread(target=bureau.run, args=(job, verb))
    thread.start()
    begun.wait(10)
    with bureau.catalog.transaction() as session:
        jobs.cancel(session, session.get_one(Job, job))
    thread.join(10)

    assert not thread.is_alive()
    assert bureau.told(job).state == "cancelled"


def test_only_one_process_computes_it(bureau: Bureau) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def verb(_wanted: Wanted, _bench: Workbench) -> Wanted:
        begun.set()
        may_end.wait(10)
        return {"by": "the first"}

    def second(_wanted: Wanted, _bench: Workbench) -> Wanted:
        raise AssertionError("It is somebody else's.")

    job = bureau.job()
    thread = threading.Thread(target=bureau.run, args=(job, verb))
    thread.start()
    begun.wait(10)
    bureau.run(job, second, name="there:2")
    may_end.set()
    thread.join(10)
    bureau.run(job, second, name="there:2")

    computation = bureau.told(job).computation
    assert computation is not None
    assert computation.result == {"by": "the first", "files": []}


def test_a_process_that_is_asked_to_end_gives_its_computation_back(bureau: Bureau) -> None:
    left = threading.Event()

    def verb(_wanted: Wanted, bench: Workbench) -> Wanted:
        (bench.folder / "checkpoint").write_text("step 7")
        left.wait(10)
        bench.tell({})
        raise AssertionError("Nobody goes on here.")

    def goes_on(_wanted: Wanted, bench: Workbench) -> Wanted:
        return {"from": (bench.folder / "checkpoint").read_text()}

    job = bureau.job()
    bureau.run(job, verb, pause=lambda _: True, leave=left.set)
    waiting = bureau.told(job)
    bureau.run(job, goes_on, name="there:2")

    ended = bureau.told(job).computation
    assert waiting.state == "queued"
    assert ended is not None
    assert ended.result == {"from": "step 7", "files": []}
    assert ended.deaths == 0


def test_an_evaluation_leaves_figures_and_a_report(bureau: Bureau, photo_store: PhotoStore) -> None:
    def verb(_wanted: Wanted, bench: Workbench) -> Wanted:
        (bench.folder / "made.html").write_text("<p>99 %</p>")
        bench.keep("report.html", bench.folder / "made.html")
        return {"verification": {"auc": 0.99}}

    job = bureau.job("evaluation")
    bureau.run(job, verb)

    with bureau.catalog.reading() as session:
        row = session.get_one(Job, job)
        [(evaluation, of_job)] = evaluations.page(session, row.collection_id, limit=5)
    computation = bureau.told(job).computation
    assert computation is not None
    assert computation.result is not None
    assert computation.result["evaluation"] == evaluation.public_id
    assert (of_job, evaluation.report_key) == (row.public_id, keys.report(row.public_id, "report.html"))
    assert vaults.sealed(photo_store, bureau.catalog).get(evaluation.report_key or "") == b"<p>99 %</p>"


def test_a_failed_computation_can_be_retried_from_what_it_left(bureau: Bureau) -> None:
    def fills_the_disk(_wanted: Wanted, bench: Workbench) -> Wanted:
        (bench.folder / "checkpoint").write_text("good")
        raise InvalidRequest("no room")

    job = bureau.job()
    bureau.run(job, fills_the_disk)
    with bureau.catalog.transaction() as session:
        retried = computations.retry(session, session.get_one(Job, job))
    bureau.run(job, lambda _, bench: {"from": (bench.folder / "checkpoint").read_text()})

    computation = bureau.told(job).computation
    assert retried
    assert computation is not None
    assert (computation.state, computation.problem) == ("done", None)
    assert computation.result == {"from": "good", "files": []}
    assert bureau.error(job) is None


DYING = """
import os, sys
from pathlib import Path
from services.catalog.engine import Catalog
from services.catalog.schema import Job
from services.photos.store import PhotoStore
from services.vault import Vault
from workers import computing

from workers.models.registry import Registry

url, endpoint, job, folder, name = sys.argv[1:]

def verb(wanted, bench):
    (bench.folder / "checkpoint").write_text("step 3")
    os.kill(os.getpid(), 9)

catalog = Catalog(url)
store = PhotoStore(endpoint, "none", "none", "none")
models = Registry(catalog, store, Path(folder) / "models", max_pixels=1)
parts = computing.Parts(catalog, Vault(store, catalog, None), models, f"{name}:{os.getpid()}", Path(folder) / "computing", 1)
computing.run(int(job), parts, lambda kind: verb)
"""


def die(bureau: Bureau, job: int) -> int:
    """Have a process begin the computation and die by SIGKILL. Its exit status."""
    import socket

    place = [bureau.catalog.url.render_as_string(hide_password=False), "http://127.0.0.1:1"]
    command = [sys.executable, "-c", DYING, *place, str(job), str(bureau.parts.folder.parent), socket.gethostname()]
    return subprocess.run(command, check=False, timeout=60).returncode


def test_a_killed_computation_is_sent_again_and_goes_on_where_it_was(bureau: Bureau, valkey: str) -> None:
    job, queue = bureau.job(), Queue(valkey)

    status = die(bureau, job)
    upkeep.sweep(bureau.catalog, queue)
    sent = queue.depths()["training"]
    bureau.run(job, lambda _, bench: {"from": (bench.folder / "checkpoint").read_text()})

    ended = bureau.told(job).computation
    assert (status, sent) == (-signal.SIGKILL, 1)
    assert ended is not None
    assert ended.result == {"from": "step 3", "files": []}
    assert ended.deaths == 1


def test_a_computation_that_kills_its_process_three_times_ends_as_failed(bureau: Bureau, valkey: str) -> None:
    job, queue = bureau.job(), Queue(valkey)
    with bureau.catalog.transaction() as session:
        computations.of(session, session.get_one(Job, job)).deaths = computations.DEATHS_AT_MOST - 2

    for _ in range(2):
        assert bureau.told(job).state != "failed"
        die(bureau, job)
        upkeep.sweep(bureau.catalog, queue)

    assert bureau.told(job).state == "failed"
    assert "died 3 times" in (bureau.error(job) or "")


def test_one_whose_message_was_lost_is_sent_again_and_one_that_is_held_is_not(
    bureau: Bureau, valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "UNCLAIMED_FOR_S", -1.0)
    lost, held = bureau.job(), bureau.job()
    with bureau.catalog.transaction() as session:
        computations.claim(session, held, by="elsewhere:5", lease_s=30.0)
        found = computations.lost(session, unclaimed_for_s=-1.0)

    upkeep.sweep(bureau.catalog, Queue(valkey))

    assert found == [lost]
    assert Queue(valkey).depths()["training"] == 1
