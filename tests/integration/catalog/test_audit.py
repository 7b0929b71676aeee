"""The audit's chains: whole as they are written, and never changed without a trace."""

import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from services.catalog.auditing import reading as audit_read
from services.catalog.auditing import verifying as audit_verify
from services.catalog.auditing import writing as audit
from services.catalog.auditing.writing import Entry, Intent, Tip
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.catalog.tables.audit import AuditChain, AuditEntry, AuditHead, AuditIntent

PERSON = "per_" + "5" * 24
EXAMPLES = 1000 if os.environ.get("COLEGA_SOAK") else 30

Tampered = Callable[[Callable[[sqlite3.Connection], object]], set[str]]


def entries(count: int, at: float = 1000.0) -> list[Entry]:
    return [
        Entry(at + n, "key_1", "search.photo", "default", None, 200, {"faces": n, "threshold": 0.25, "named": [PERSON]})
        for n in range(count)
    ]


def write(session: Session, *groups: int, ended: bool = True) -> Tip:
    """A chain of groups of so many entries, anchored after each."""
    tip = audit.begin(session, 999.0)
    for count in groups:
        tip = audit.head(session, audit.append(session, tip, entries(count)), "anchored")
    return audit.head(session, tip, "ended") if ended else tip


def problems(catalog: Catalog) -> set[str]:
    with catalog.reading() as session:
        return {one.problem for one in audit_verify.verify(session).problems}


def test_what_was_written_is_found_whole(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        write(session, 3, 4)
        running = write(session, 2, ended=False)

    with catalog.reading() as session:
        found = audit_verify.verify(session)

    assert (found.problem_count, found.chains, found.entries) == (0, 2, 1 + 7 + 1 + 2)
    assert found.not_ended == [running.chain]


def test_a_walk_in_steps_sees_what_a_walk_at_once_sees(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        for groups in ((3, 4), (1,), (5,)):
            write(session, *groups)
        session.execute(update(AuditEntry).where(AuditEntry.sequence == 3).values(key="key_2"))
    with catalog.reading() as session:
        whole = audit_verify.verify(session)

    seen, count, after = 0, 0, None
    while True:
        with catalog.reading() as session:
            step = audit_verify.verify(session, after=after, most=2)
        seen, count, after = seen + step.entries, count + step.problem_count, step.stopped_at
        if after is None:
            break

    assert (seen, count) == (whole.entries, whole.problem_count)
    assert count == 2


def test_entries_are_removed_by_age_and_the_rest_still_proves_itself(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        old, tip = write(session, 3), write(session, 10, ended=False)
        pruned = audit.prune(session, 1004.0)
    with catalog.reading() as session:
        found = audit_verify.verify(session)
    with catalog.transaction() as session:
        audit.append(session, tip, entries(1))  # Whoever writes goes on without noticing.

    assert pruned == {old.chain: 4, tip.chain: 5}
    assert (found.problem_count, found.pruned) == (0, 9)
    assert problems(catalog) == set()
    with catalog.transaction() as session:
        session.execute(delete(AuditEntry).where(AuditEntry.chain == tip.chain, AuditEntry.sequence == 6))
    assert problems(catalog) == {"gap"}


def test_a_chain_that_is_gone_as_a_whole_is_missed_by_those_that_began_later(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gone = write(session, 3)
        write(session, 1)
        for table in (AuditEntry, AuditHead, AuditChain):
            session.execute(delete(table).where(table.chain == gone.chain))

    assert problems(catalog) == {"chain_missing"}


def test_heads_that_were_kept_elsewhere_show_that_a_chain_was_written_anew(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        tip = write(session, 3)
        kept = audit_verify.Known(tip.chain, tip.sequence, tip.hash)
    with catalog.reading() as session:
        before = audit_verify.compare(session, [kept])
    with catalog.transaction() as session:
        for table in (AuditEntry, AuditHead, AuditChain):
            session.execute(delete(table).where(table.chain == tip.chain))
        forged = audit.begin(session, 999.0, tip.chain)
        forged = audit.head(session, audit.append(session, forged, entries(3, at=2000.0)), "ended")

    assert before == []
    assert problems(catalog) == set()  # Nothing in the catalog itself can tell.
    with catalog.reading() as session:
        assert [one.problem for one in audit_verify.compare(session, [kept])] == ["head_changed"]


def test_a_chain_that_somebody_else_has_written_to_is_not_gone_on_with(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        tip = write(session, 3, ended=False)
        audit.append(session, tip, entries(1))

    with pytest.raises(audit.ChainBroken), catalog.transaction() as session:
        audit.append(session, tip, entries(1))


def test_a_change_of_a_gateway_that_died_is_written_by_another_one(catalog: Catalog) -> None:
    intent = Intent("int_1", 10.0, "key_1", "person.erase", "default", PERSON)
    with catalog.transaction() as session:
        dead, living = write(session, 1, ended=False), write(session, 1, ended=False)
        audit.intend(session, dead.chain, intent)
        audit.intend(session, dead.chain, intent)
        audit.intend(session, living.chain, Intent("int_2", 10.0, "key_1", "person.erase"))
        session.execute(update(AuditChain).where(AuditChain.chain == dead.chain).values(seen_at=1.0))
        mine = write(session, ended=False)
        taken = audit.adopt(session, mine.chain)
        audit.append(session, mine, taken)

    assert [(one.object, one.outcome, one.details) for one in taken] == [(PERSON, 0, {"unfinished_in": dead.chain})]
    with catalog.reading() as session:
        assert session.scalars(select(AuditIntent.id)).all() == ["int_2"]


def test_lists_are_by_what_was_done_to_whom_by_which_key_and_when(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        tip = audit.begin(session, 1.0)
        done = [
            Entry(10.0, "key_1", "person.erase", "one", PERSON),
            Entry(11.0, "key_1", "personal", "one"),
            Entry(12.0, "key_2", "search.photo", "two", None, 200, {"named": [PERSON]}),
            Entry(13.0, "key_2", "search.photo", "two", None, 200, {"named": [f"{PERSON}0"]}),
        ]
        audit.append(session, tip, done)

    def times(**wanted: object) -> list[float]:
        with catalog.reading() as session:
            return [one.at for one in audit_read.page(session, audit_read.Wanted(**wanted), limit=10)]  # type: ignore[arg-type]

    assert times(action="person") == [10.0]
    assert times(person=PERSON) == [12.0, 10.0]
    assert times(key="key_2", since=12.5) == [13.0]
    assert times(collections=["one"], until=11.0) == [10.0]


# --- any single change shows ------------------------------------------------------------------------------------------

ENTRY_COLUMNS = ("sequence", "at", "key", "action", "collection", "object", "outcome", "details", "hash")
CHAIN_COLUMNS = ("sequence", "hash", "heads", "pruned", "pruned_hash", "pruned_heads")
HEAD_COLUMNS = ("number", "sequence", "hash", "kind")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A catalog with three chains: one that has ended, one whose beginning was removed by age, and one that runs."""
    path = tmp_path_factory.mktemp("audit") / "catalog.sqlite"
    catalog = Catalog(f"sqlite:///{path}")
    migrate(catalog)
    with catalog.transaction() as session:
        write(session, 2, 3)
        tip = audit.append(session, audit.begin(session, 1.0), entries(3, at=2.0))
        tip = audit.append(session, audit.head(session, tip, "anchored"), entries(3))
        audit.head(session, tip, "anchored")
        write(session, 3, ended=False)
        audit.prune(session, 500.0)
    assert problems(catalog) == set()
    catalog.close()
    with closing(sqlite3.connect(path)) as connection:
        return connection.serialize()


@pytest.fixture
def tampered(written: bytes, tmp_path: Path) -> Tampered:
    """What is found once somebody has done something to that catalog."""

    def found(tamper: Callable[[sqlite3.Connection], object]) -> set[str]:
        path = tmp_path / "tampered.sqlite"
        path.write_bytes(written)
        with closing(sqlite3.connect(path)) as connection, connection:
            tamper(connection)
        catalog = Catalog(f"sqlite:///{path}")
        try:
            return problems(catalog)
        finally:
            catalog.close()
            for leftover in tmp_path.iterdir():
                leftover.unlink()

    return found


def _some(connection: sqlite3.Connection, table: str, chance: random.Random) -> int:
    return int(chance.choice(connection.execute(f"SELECT rowid FROM {table}").fetchall())[0])


def _other(value: object, chance: random.Random) -> object:
    """A value that is not *value*."""
    if isinstance(value, bytes):
        return bytes([value[0] ^ (1 << chance.randrange(8))]) + value[1:]
    if isinstance(value, (int, float)):
        return value + chance.choice([-2, -1, 1, 2])
    return chance.choice(["key_x", '{"faces": 77}', "", 3, "\x00", b"\x01"]) if value is None else f"{value}x"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), kind=st.sampled_from(["change", "delete", "swap", "insert", "cut"]))
def test_any_single_change_of_an_entry_shows(tampered: Tampered, chance: random.Random, kind: str) -> None:
    def tamper(connection: sqlite3.Connection) -> None:
        row = _some(connection, "audit", chance)
        if kind == "change":
            column = chance.choice(ENTRY_COLUMNS)
            [value] = connection.execute(f"SELECT {column} FROM audit WHERE rowid = ?", [row]).fetchone()
            new = value + 100 if column == "sequence" else _other(value, chance)
            connection.execute(f"UPDATE audit SET {column} = ? WHERE rowid = ?", [new, row])
        elif kind == "delete":
            connection.execute("DELETE FROM audit WHERE rowid = ?", [row])
        elif kind == "cut":
            [chain, sequence] = connection.execute(
                "SELECT chain, sequence FROM audit WHERE rowid = ?", [row]
            ).fetchone()
            connection.execute("DELETE FROM audit WHERE chain = ? AND sequence >= ?", [chain, sequence])
        elif kind == "insert":
            connection.execute(
                "INSERT INTO audit SELECT chain, sequence + 1000, at, key, action, collection, object, outcome, details, hash "
                "FROM audit WHERE rowid = ?",
                [row],
            )
        else:
            _swap(connection, row, chance)

    assert tampered(tamper)


def _swap(connection: sqlite3.Connection, row: int, chance: random.Random) -> None:
    """What one entry says and what another one says, exchanged; the places stay."""
    others = [one for (one,) in connection.execute("SELECT rowid FROM audit WHERE rowid <> ?", [row])]
    columns = "at, key, action, collection, object, outcome, details, hash"
    places = [row, chance.choice(others)]
    said = [connection.execute(f"SELECT {columns} FROM audit WHERE rowid = ?", [one]).fetchone() for one in places]
    for place, what in zip(places, reversed(said), strict=True):
        assignments = ", ".join(f"{column} = ?" for column in columns.split(", "))
        connection.execute(f"UPDATE audit SET {assignments} WHERE rowid = ?", [*what, place])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=False), kind=st.sampled_from(["change", "delete", "insert"]))
def test_any_single_change_of_a_head_or_of_a_chains_row_shows(
    tampered: Tampered, chance: random.Random, kind: str
) -> None:
    def tamper(connection: sqlite3.Connection) -> None:
        table, columns = chance.choice([("audit_heads", HEAD_COLUMNS), ("audit_chains", CHAIN_COLUMNS)])
        row = _some(connection, table, chance)
        if kind == "change":
            column = chance.choice(columns)
            [value] = connection.execute(f"SELECT {column} FROM {table} WHERE rowid = ?", [row]).fetchone()
            new = value + 100 if column == "number" else _other(value, chance)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [new, row])
        elif kind == "delete":
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", [row])
        else:
            connection.execute(
                "INSERT INTO audit_heads SELECT chain, number + 1000, sequence, hash, kind FROM audit_heads WHERE rowid = ?",
                [_some(connection, "audit_heads", chance)],
            )

    assert tampered(tamper)


def test_nothing_where_a_hash_was_never_is_something(tampered: Tampered) -> None:
    assert tampered(lambda c: c.execute("UPDATE audit_chains SET pruned_hash = '' WHERE pruned_hash IS NULL"))


def test_nobody_can_write_an_entry_before_the_first_one(tampered: Tampered) -> None:
    found = tampered(lambda c: c.execute("UPDATE audit SET sequence = 0 WHERE rowid = (SELECT max(rowid) FROM audit)"))

    assert found >= {"inserted"}


def test_a_chain_of_many_pages_is_walked_to_the_entry_that_was_changed(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        tip = write(session, 2500, ended=False)  # More than a page.
        count = session.scalar(select(func.count()).select_from(AuditEntry))
        session.execute(text("UPDATE audit SET outcome = 201 WHERE sequence = 2100"))

    with catalog.reading() as session:
        found = audit_verify.verify(session)

    assert found.entries == count == 2501
    assert [(one.chain, one.sequence, one.problem) for one in found.problems] == [(tip.chain, 2100, "changed")]
