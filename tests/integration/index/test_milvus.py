"""Replicas whose vectors are in Milvus are what the log says, whoever writes, and whoever dies while writing."""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from index.follower import Follower
from index.milvus.home import MilvusHome, Sweep
from index.milvus.index import MilvusIndex
from index.milvus.marks import Marks
from index.milvus.replica import MilvusReplica
from index.milvus.server import KINDS, Kind, Server
from index.owners import NOBODY
from index.ranking import rank
from index.replica import Replica
from index.templates import template
from services.errors import IndexBehind, IndexUnavailable
from tests.milvus import MilvusLite
from tests.unit.index.arrays import D, WrittenLog, unit_vectors
from tests.unit.index.changes import ChangesOfALog
from tests.waiting import eventually

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """What a process meets that is killed."""


class Mortal(Server):
    """A server whose user dies, or which goes away, after some changes more."""

    changes_left: int | None = None
    ending: BaseException = Killed()

    def ask(self, call: str, *arguments: Any, **named: Any) -> Any:
        if call in {"upsert", "delete", "create_collection", "drop_collection"} and self.changes_left is not None:
            self.changes_left -= 1
            if self.changes_left < 0:
                raise self.ending
        return super().ask(call, *arguments, **named)


@dataclass
class Searcher:
    """One searcher's follower, and its view of Milvus."""

    log: WrittenLog
    server: Mortal
    writes: bool
    follower: Follower = field(init=False)

    def __post_init__(self) -> None:
        self.marks = Marks(self.server, fresh_s=0.0)
        home = MilvusHome(self.server, self.marks, self.log, 1, 1, D, has_lease=lambda: self.writes)
        self.follower = Follower(self.log, 1, 1, home)

    def follow(self) -> MilvusReplica:
        """The replica, as far as it can be by now."""
        replica = self.follower.follow()
        assert isinstance(replica, MilvusReplica)
        replica.settle()
        return replica


@pytest.fixture
def server(milvus: MilvusLite) -> Iterator[Mortal]:
    server = Mortal(milvus.uri)
    yield server
    server.changes_left = None
    for name in server.names():
        server.drop(name)
    server.close()


@pytest.fixture
def log() -> WrittenLog:
    log = WrittenLog()
    for face in range(1, 7):
        log.write("add", face, 1 + face % 2, unit_vectors(1, seed=face)[0])
    return log


def is_the_log(replica: Replica, log: WrittenLog) -> None:
    """See that a replica is what the log says: faces, owners, templates, and what a search finds."""
    assert (replica.epoch, replica.sequence) == (log.epoch, log.sequence)
    assert len(replica) == len(log.rows)
    for face, (person, vector) in log.rows.items():
        assert replica.owners.person_of(face) == person
        assert replica.faces.search(vector[None], 1).ids.tolist() == [[face]]
    enrolled = {person for person, _ in log.rows.values() if person != NOBODY}
    assert len(replica.templates) == len(enrolled)
    for person in enrolled:
        mean = template(np.stack([vector for owner, vector in log.rows.values() if owner == person]))
        np.testing.assert_allclose(replica.templates.vectors([person])[0], mean, atol=2e-3)


def answers(server: Server) -> bool:
    """Whether Milvus is there."""
    try:
        server.names()
    except IndexUnavailable:
        return False
    return True


def test_a_replica_starts_from_rows_and_follows(server: Mortal, log: WrittenLog) -> None:
    searcher = Searcher(log, server, writes=True)

    is_the_log(searcher.follow(), log)
    log.write("add", 7, 3, unit_vectors(1, seed=7)[0])
    log.write("remove", 2, None)
    log.write("assign", 4, 3)

    is_the_log(searcher.follow(), log)


def test_a_replica_that_starts_again_reads_no_vector_of_the_catalog(server: Mortal, log: WrittenLog) -> None:
    Searcher(log, server, writes=True).follow()
    log.write("assign", 1, 1)
    log.write("remove", 3, None)
    log.write("add", 8, 5, unit_vectors(1, seed=8)[0])

    class WithoutRows(WrittenLog):
        """Its vectors can be read only entry by entry."""

        def faces(self, collection: int, model: int) -> Any:
            raise AssertionError((collection, model))

        def owners(self, collection: int, model: int) -> Any:
            del collection, model
            yield np.array([*self.rows], np.int64), np.array([person for person, _ in self.rows.values()], np.int64)

    log.__class__ = WithoutRows
    again = Searcher(log, server, writes=True)

    is_the_log(again.follow(), log)
    assert again.follower.origin == "snapshot"


def test_a_searcher_without_the_lease_waits_for_the_writer(server: Mortal, log: WrittenLog) -> None:
    writer, reader = Searcher(log, server, writes=True), Searcher(log, server, writes=False)
    with pytest.raises(IndexBehind):
        reader.follow()
    writer.follow()
    reader.follow()
    log.write("assign", 2, 2)

    behind = reader.follow().sequence
    writer.follow()

    assert behind == log.sequence - 1
    is_the_log(reader.follow(), log)


@pytest.mark.parametrize("changes", range(7))
def test_a_writer_killed_between_two_writes_loses_nothing(server: Mortal, log: WrittenLog, changes: int) -> None:
    first = Searcher(log, server, writes=True)
    first.follow()
    log.write("add", 7, 3, unit_vectors(1, seed=7)[0])
    log.write("assign", 1, 3)
    log.write("remove", 6, None)
    log.write("remove", 4, None)
    server.changes_left = changes
    with contextlib.suppress(Killed):
        first.follow()
    server.changes_left = None

    is_the_log(Searcher(log, server, writes=True).follow(), log)


@pytest.mark.parametrize("changes", range(7))
def test_milvus_going_away_between_two_writes_loses_nothing(server: Mortal, log: WrittenLog, changes: int) -> None:
    searcher = Searcher(log, server, writes=True)
    searcher.follow()
    log.write("add", 7, 3, unit_vectors(1, seed=7)[0])
    log.write("assign", 1, 3)
    log.write("remove", 6, None)
    server.changes_left, server.ending = changes, IndexUnavailable("Milvus is away.")
    with contextlib.suppress(IndexUnavailable):
        searcher.follow()
    server.changes_left = None

    is_the_log(searcher.follow(), log)


def test_another_history_is_never_mixed_with_the_old_one(server: Mortal, log: WrittenLog) -> None:
    searcher = Searcher(log, server, writes=True)
    searcher.follow()
    log.epoch, log.sequence = "restored", 2
    del log.rows[5], log.rows[6]

    is_the_log(searcher.follow(), log)

    sweep = Sweep(server, searcher.marks)
    assert (sweep.sweep({(1, 1)}), len(sweep.sweep({(1, 1)}))) == ([], 2)
    is_the_log(searcher.follow(), log)


def test_a_generation_that_is_gone_leaves_nothing_in_milvus(server: Mortal, log: WrittenLog) -> None:
    searcher = Searcher(log, server, writes=True)
    searcher.follow()
    sweep = Sweep(server, searcher.marks)
    sweep.sweep({(1, 2)})

    sweep.sweep({(1, 2)})

    assert server.names() == ["colega_editions"]
    assert searcher.marks.of("1_g1") is None


def test_milvus_that_was_emptied_is_filled_again(server: Mortal, log: WrittenLog) -> None:
    searcher = Searcher(log, server, writes=True)
    searcher.follow()
    for name in server.names():
        server.drop(name)
    with pytest.raises(IndexUnavailable):
        searcher.follow()

    is_the_log(searcher.follow(), log)


def test_milvus_that_was_killed_is_used_again_when_it_is_back(tmp_path: Path, log: WrittenLog) -> None:
    milvus = MilvusLite(tmp_path)
    milvus.start()
    server = Mortal(milvus.uri)
    try:
        searcher = Searcher(log, server, writes=True)
        replica = searcher.follow()
        milvus.kill()
        with pytest.raises(IndexUnavailable, match=r"127\.0\.0\.1"):
            rank(replica, unit_vectors(1), 3)
        assert replica.trouble

        milvus.start()

        eventually(lambda: answers(server))
        is_the_log(searcher.follow(), log)
        assert not replica.trouble
    finally:
        server.close()
        milvus.kill()


def test_milvus_that_says_nothing_is_waited_for_once(tmp_path: Path, log: WrittenLog) -> None:
    milvus = MilvusLite(tmp_path)
    milvus.start()
    server = Mortal(milvus.uri)
    try:
        searcher = Searcher(log, server, writes=True)
        replica = searcher.follow()
        is_the_log(replica, log)
        milvus.pause()
        with pytest.raises(IndexUnavailable):
            rank(replica, unit_vectors(1), 3)
        began = time.monotonic()
        with pytest.raises(IndexUnavailable):
            rank(replica, unit_vectors(1), 3)
        assert time.monotonic() - began < 0.5
        assert len(replica) == len(log.rows)

        milvus.go_on()
        eventually(lambda: answers(server))

        is_the_log(searcher.follow(), log)
    finally:
        server.close()
        milvus.kill()


def test_a_filter_that_names_more_than_one_expression_holds_stays_exact(
    server: Mortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("index.milvus.index._NAMED_AT_ONCE", 16)
    vectors = unit_vectors(200)
    index = MilvusIndex(server, f"filtered_{secrets.token_hex(4)}", D)
    server.create(index.name, D)
    index.add(range(1, 201), vectors, sequence=1)
    among = np.arange(3, 201, 3)
    expected = among[np.argsort(-(vectors[among - 1] @ unit_vectors(1, seed=9)[0]))[:5]]

    hits = index.search(unit_vectors(1, seed=9), 5, among=among)
    few = index.search(unit_vectors(1, seed=9), 70, among=among)

    assert hits.ids[0].tolist() == expected.tolist()
    assert (few.ids[0] >= 0).sum() == len(among)


EXAMPLES = 200 if os.environ.get("COLEGA_SOAK") else 20


@pytest.mark.parametrize("kind", KINDS)
def test_every_index_type_finds_what_is_there(milvus: MilvusLite, kind: Kind) -> None:
    server, name = Server(milvus.uri, kind=kind), f"kind_{secrets.token_hex(4)}"
    server.create(name, D)
    vectors = unit_vectors(300)
    index = MilvusIndex(server, name, D)
    index.add(range(1, 301), vectors, sequence=1)

    hits = index.search(vectors, 3)

    assert hits.ids[:, 0].tolist() == [*range(1, 301)]
    server.drop(name)
    server.close()


class TwoSearchers(ChangesOfALog):
    """Two searchers, one of which writes; they die at any moment, and the lease wanders."""

    uri = ""

    def __init__(self) -> None:
        super().__init__()
        self.searchers = [Searcher(self.log, Mortal(self.uri), writes=n == 0) for n in range(2)]

    @rule()
    def restore_a_backup(self) -> None:
        self.log.epoch += "'"

    @rule()
    def hand_the_lease_over(self) -> None:
        for searcher in self.searchers:
            searcher.writes = not searcher.writes

    @rule(which=st.integers(0, 1), changes=st.integers(0, 6))
    def die_while_following(self, which: int, changes: int) -> None:
        searcher = self.searchers[which]
        searcher.server.changes_left = changes
        with contextlib.suppress(Killed, IndexBehind):
            searcher.follow()
        searcher.server.changes_left = None
        self.searchers[which] = Searcher(self.log, searcher.server, writes=searcher.writes)

    @rule(changes=st.integers(0, 6))
    def lose_milvus_while_following(self, changes: int) -> None:
        for searcher in self.searchers:
            searcher.server.changes_left, searcher.server.ending = changes, IndexUnavailable("Milvus is away.")
            with contextlib.suppress(IndexUnavailable, IndexBehind):
                searcher.follow()
            searcher.server.changes_left, searcher.server.ending = None, Killed()

    @precondition(lambda self: self.log.sequence > 0)
    @rule()
    def follow(self) -> None:
        for searcher in sorted(self.searchers, key=lambda each: not each.writes):
            is_the_log(searcher.follow(), self.log)

    def teardown(self) -> None:
        server = self.searchers[0].server
        for name in server.names():
            server.drop(name)
        for searcher in self.searchers:
            searcher.server.close()


def test_two_searchers_agree_with_the_log_whatever_happens(milvus: MilvusLite) -> None:
    TwoSearchers.uri = milvus.uri
    run_state_machine_as_test(
        TwoSearchers,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
