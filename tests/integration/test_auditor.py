"""The auditor of a gateway: entries in groups, a catalog that is locked or away, a process that dies or forks."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from benchmarks import pages
from services.catalog import keys
from services.catalog.auditing import verifying as audit_verify
from services.catalog.auditing import writing as audit
from services.catalog.auditing.verifying import Findings
from services.catalog.auditing.writing import Entry, Intent
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.catalog.tables.audit import AuditChain, AuditEntry, AuditHead, AuditIntent
from services.errors import AuditUnavailable, CannotStart, CatalogUnavailable
from services.gateway.app import create_app
from services.gateway.auditing.auditor import Auditor
from services.gateway.auditing.counted import Sight
from services.settings.audit import Auditing
from tests.conftest import missing
from tests.postgres import PostgresMissing
from tests.stack import Stack
from tests.waiting import eventually

SETTINGS = Auditing()


def entry(action: str = "search.photo", outcome: int = 200, **more: object) -> Entry:
    return Entry(round(time.time(), 3), "key_1", action, "default", None, outcome, dict(more) or None)


@pytest.fixture
def auditor(catalog: Catalog) -> Iterator[Auditor]:
    auditor = Auditor(catalog, SETTINGS)
    yield auditor
    auditor.close()


def verified(catalog: Catalog) -> Findings:
    with catalog.reading() as session:
        return audit_verify.verify(session)


def written(catalog: Catalog) -> Sequence[AuditEntry]:
    """All entries but the first of each chain."""
    with catalog.reading() as session:
        asked = select(AuditEntry).where(AuditEntry.action != audit.BEGIN)
        return session.scalars(asked.order_by(AuditEntry.chain, AuditEntry.sequence)).all()


def kinds(catalog: Catalog) -> list[str]:
    with catalog.reading() as session:
        return list(session.scalars(select(AuditHead.kind).order_by(AuditHead.chain, AuditHead.number)))


def test_what_many_threads_hand_over_is_one_chain_without_gaps(catalog: Catalog, auditor: Auditor) -> None:
    def hand_over(number: int) -> None:
        for n in range(10):
            assert auditor.write(entry(faces=10 * number + n))

    threads = [threading.Thread(target=hand_over, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    auditor.close()

    assert sorted((one.details or {})["faces"] for one in written(catalog)) == list(range(80))
    found = verified(catalog)
    assert (found.problem_count, found.chains, found.not_ended) == (0, 1, [])
    assert kinds(catalog) == ["begun", "anchored", "ended"]


def test_since_when_it_is_not_anchored_is_nothing_before_the_first_entry(auditor: Auditor) -> None:
    before = auditor.anchored_ago_s

    assert auditor.write(entry())

    assert before is None
    assert auditor.anchored_ago_s is not None
    assert 0.0 <= auditor.anchored_ago_s < 60.0


def test_two_gateways_write_side_by_side(catalog: Catalog, auditor: Auditor) -> None:
    other = Auditor(catalog, SETTINGS)
    try:
        for n in range(5):
            assert auditor.write(entry(faces=n))
            assert other.write(entry(faces=n))
    finally:
        other.close()

    found = verified(catalog)
    assert (found.problem_count, found.chains, found.not_ended) == (0, 2, [auditor.chain])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # The one that forks is gunicorn, where it does.
def test_a_forked_process_has_a_chain_of_its_own(catalog: Catalog, auditor: Auditor) -> None:
    assert auditor.write(entry())
    if (child := os.fork()) == 0:
        catalog.after_fork()
        done = auditor.write(entry("photo.raw"))
        auditor.close()
        os._exit(0 if done else 1)
    _, status = os.waitpid(child, 0)
    assert auditor.write(entry())

    assert os.waitstatus_to_exitcode(status) == 0
    assert len({one.chain for one in written(catalog)}) == 2
    assert verified(catalog).problem_count == 0


def test_while_the_catalog_is_locked_nothing_is_told_and_all_is_written_in_order_afterwards(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    catalog, locker = Catalog(url, busy_s=0.1), Catalog(url)
    migrate(catalog)
    auditor = Auditor(catalog, SETTINGS)
    assert auditor.write(entry("first"))

    with locker.transaction() as session:
        session.execute(text("SELECT 1"))
        told = auditor.write(entry("search.photo", named=["per_1"]), patience_s=0.3)
        eventually(lambda: not auditor.is_well)
        with pytest.raises(AuditUnavailable):
            auditor.ready()
        changed = threading.Thread(target=lambda: auditor.write(entry("person.erase"), settles=["int_1"]))
        changed.start()
        auditor.refuse(entry("photo.raw", 503))
    changed.join()
    eventually(lambda: auditor.is_well)
    auditor.close()
    locker.close()

    assert not told
    found = [(one.action, one.outcome, one.details) for one in written(catalog)]
    assert found[:2] == [("first", 200, None), ("search.photo", 503, None)]
    assert {(action, outcome) for action, outcome, _ in found[2:]} == {("person.erase", 200), ("photo.raw", 503)}
    assert verified(catalog).problem_count == 0
    catalog.close()


def test_a_database_that_was_away_is_gone_on_with(servers: Stack) -> None:
    try:
        postgres = servers.postgres()
    except (CannotStart, PostgresMissing) as error:
        missing(str(error))
    catalog = Catalog(postgres.new_database(), busy_s=1.0)
    migrate(catalog)
    auditor = Auditor(catalog, SETTINGS)
    assert auditor.write(entry("first"))

    postgres.kill()
    told = auditor.write(entry("second"), patience_s=0.3)
    eventually(lambda: not auditor.is_well)
    postgres.start()
    eventually(lambda: auditor.is_well)
    assert auditor.write(entry("third"))
    auditor.close()

    assert not told
    assert [(one.action, one.outcome) for one in written(catalog)] == [("first", 200), ("second", 503), ("third", 200)]
    assert verified(catalog).problem_count == 0
    catalog.close()


def test_a_commit_whose_answer_was_lost_is_not_written_twice(catalog: Catalog, auditor: Auditor) -> None:
    assert auditor.write(entry("first"))
    lost = threading.Event()
    commit = catalog.transaction

    def cut(*, once: list[bool] = [True]) -> object:  # noqa: B006 - said once
        if once:
            once.clear()
            return _Cut(commit(), lost)
        return commit()

    catalog.transaction = cut  # type: ignore[method-assign,assignment]
    assert auditor.write(entry("second"))
    assert auditor.write(entry("third"))

    assert lost.is_set()
    assert [one.action for one in written(catalog)] == ["first", "second", "third"]
    assert verified(catalog).problem_count == 0


class _Cut:
    """A transaction that is committed, and whose caller does not hear of it: what a cut connection can do."""

    def __init__(self, inner: object, lost: threading.Event) -> None:
        self._inner, self._lost = inner, lost

    def __enter__(self) -> object:
        return self._inner.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, *raised: object) -> None:
        self._inner.__exit__(*raised)  # type: ignore[attr-defined]
        self._lost.set()
        raise CatalogUnavailable("The connection was cut.")


def test_somebody_elses_entry_in_the_chain_shows_and_the_gateway_goes_on_with_another_one(
    catalog: Catalog, auditor: Auditor
) -> None:
    assert auditor.write(entry())
    chain = auditor.chain
    with catalog.transaction() as session:
        stands = audit.tip_of(session, chain)
        assert stands is not None
        row = {"chain": chain, "sequence": stands.sequence + 1, "at": 1.0, "action": "x", "outcome": 200, "hash": b"x"}
        session.execute(AuditEntry.__table__.insert().values(row))  # type: ignore[attr-defined]

    assert auditor.write(entry("photo.raw"))

    assert auditor.chain != chain
    assert [(one.chain, one.problem) for one in verified(catalog).problems] == [(chain, "inserted")]


def test_refusals_of_one_cause_are_counted_together(catalog: Catalog, auditor: Auditor) -> None:
    for _ in range(50):
        auditor.refuse(Entry(round(time.time(), 3), None, "photo.raw", None, None, 401))
    auditor.refuse(Entry(round(time.time(), 3), "key_1", "photo.raw", None, None, 403))
    auditor.close()

    rows = [(one.key, one.outcome, (one.details or {}).get("count", 1)) for one in written(catalog)]
    assert sum(count for _, status, count in rows if status == 401) == 50
    assert len(rows) < 30
    assert ("key_1", 403, 1) in rows


def test_a_live_camera_is_one_entry_a_minute_and_none_is_lost_to_a_kill(catalog: Catalog, auditor: Auditor) -> None:
    at = round(time.time(), 3)
    for n in range(100):
        assert auditor.watch("key_1", "default", "live.camera", at + n, Sight(1, 2, people=[f"per_{n % 3}"]))
    with catalog.reading() as session:
        begun = [(one.key, one.action) for one in session.scalars(select(AuditIntent))]
    before = written(catalog)
    auditor.close()

    assert (begun, list(before)) == ([("key_1", "live.camera")], [])
    [row] = written(catalog)
    assert row.details is not None
    assert (row.details["searches"], row.details["faces"]) == (100, 200)
    assert row.details["named"] == ["per_0", "per_1", "per_2"]
    with catalog.reading() as session:
        assert session.scalars(select(AuditIntent)).all() == []


def test_what_a_dead_gateway_had_under_way_is_written_by_the_next(catalog: Catalog, auditor: Auditor) -> None:
    dead = Auditor(catalog, SETTINGS)
    assert dead.write(entry())
    with catalog.transaction() as session:
        dead.intend(session, Intent("int_1", 10.0, "key_1", "person.erase", "default", "per_1"))
        session.execute(update(AuditChain).values(seen_at=1.0))

    assert auditor.write(entry("search.photo"))

    told = [(one.action, one.object, one.outcome) for one in written(catalog) if one.chain == auditor.chain]
    assert told == [("search.photo", None, 200), ("person.erase", "per_1", 0)]
    dead.close()


def test_entries_are_removed_when_they_are_old_and_that_is_an_entry(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        audit.alone(session, Entry(10.0, None, "key.create"))
    auditor = Auditor(catalog, Auditing(audit_days=30))
    assert auditor.write(entry())
    auditor.close()

    assert [one.action for one in written(catalog)] == ["search.photo", audit.PRUNE]
    assert verified(catalog).problem_count == 0


def test_a_change_that_is_made_is_told_and_written_though_the_catalog_is_locked_just_then(tmp_path: Path) -> None:
    gateway = pages.unconnected(tmp_path)
    migrate(gateway.catalog)
    with gateway.catalog.transaction() as session:
        _, secret = keys.issue(session, "test", ["admin"])
    client = create_app(gateway).test_client()
    locker = sqlite3.connect(tmp_path / "catalog.sqlite", isolation_level=None, check_same_thread=False)
    beside = gateway.catalog.beside
    assert beside is not None

    def lock(session: Session) -> Callable[[], None] | None:
        committed = beside(session)
        if committed is None:
            return None

        def locked() -> None:
            committed()
            locker.execute("BEGIN IMMEDIATE")

        return locked

    gateway.catalog.beside = lock
    answer = client.post("/v1/collections", json={"name": "one"}, headers={"Authorization": f"Bearer {secret}"})
    with gateway.catalog.reading() as session:
        under_way = [(one.action, one.collection) for one in session.scalars(select(AuditIntent))]
    before = [one.action for one in written(gateway.catalog)]
    locker.rollback()
    gateway.catalog.beside = beside
    gateway.auditor.close()

    assert answer.status_code == 201
    assert (under_way, before) == ([("collection.create", "one")], [])
    assert [(one.action, one.outcome) for one in written(gateway.catalog)] == [("collection.create", 201)]
    with gateway.catalog.reading() as session:
        assert session.scalars(select(AuditIntent)).all() == []
    locker.close()
    gateway.catalog.close()
