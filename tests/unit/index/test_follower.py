"""A replica is what the log says, wherever it started and whatever came between."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from index.follower import Follower
from index.replica import NOBODY
from tests.unit.index.arrays import D, WrittenLog, unit_vectors

FACES, PEOPLE = st.integers(1, 12), st.integers(1, 3)


class FollowerAgainstLog(RuleBasedStateMachine):
    """Adds, removals, assignments, pruned entries and restored backups, followed whenever it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.log = WrittenLog()
        self.follower = Follower(self.log, collection=1, model=1, dimension=D)

    @rule(face=FACES, person=PEOPLE)
    def add(self, face: int, person: int) -> None:
        if face not in self.log.rows:
            self.log.write("add", face, person, unit_vectors(1, seed=face)[0])

    @rule(face=FACES)
    def remove(self, face: int) -> None:
        self.log.write("remove", face, None)

    @rule(face=FACES, person=st.one_of(st.none(), PEOPLE))
    def assign(self, face: int, person: int | None) -> None:
        if face in self.log.rows:
            self.log.write("assign", face, person)

    @rule()
    def prune(self) -> None:
        self.log.pruned = self.log.sequence

    @rule()
    def restore_a_backup(self) -> None:
        self.log.epoch = self.log.epoch + "'"
        self.log.sequence = max(0, self.log.sequence - 3)
        self.log.written = [row for row in self.log.written if row[0] <= self.log.sequence]

    @rule()
    def follow(self) -> None:
        self.follower.catch_up(None)
        self.is_the_same()

    @invariant()
    def never_ahead(self) -> None:
        replica = self.follower.replica
        assert replica is None or replica.epoch != self.log.epoch or replica.sequence <= self.log.sequence

    def is_the_same(self) -> None:
        replica = self.follower.replica
        assert replica is not None
        assert (replica.epoch, replica.sequence) == (self.log.epoch, self.log.sequence)
        assert len(replica) == len(self.log.rows)
        for face, (person, vector) in self.log.rows.items():
            assert replica.person_of(face) == person
            np.testing.assert_allclose(replica.index.vectors([face])[0], vector, atol=1e-3)
        for person in (1, 2, 3):
            expected = {face for face, (owner, _) in self.log.rows.items() if owner == person}
            assert set(replica.faces_of(person)) == expected


TestFollowerAgainstLog = FollowerAgainstLog.TestCase
TestFollowerAgainstLog.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_what_changes_while_the_rows_are_read_is_not_missed() -> None:
    log = WrittenLog()
    for face in range(1, 9):
        log.write("add", face, 1, unit_vectors(1, seed=face)[0])

    class Busy(WrittenLog):
        """Somebody writes after the head was read."""

        def faces(self, collection: int, model: int):  # type: ignore[no-untyped-def] # noqa: ANN202
            self.write("remove", 2, None)
            self.write("add", 9, 2, unit_vectors(1, seed=9)[0])
            return super().faces(collection, model)

    log.__class__ = Busy
    follower = Follower(log, collection=1, model=1, dimension=D)

    replica = follower.start()

    assert replica is not None
    assert replica.sequence == log.sequence
    assert (replica.person_of(2), replica.person_of(9), len(replica)) == (NOBODY, 2, 8)


def test_a_collection_that_is_gone_has_no_replica() -> None:
    assert Follower(WrittenLog(), collection=2, model=1, dimension=D).start() is None


def test_an_entry_whose_embedding_was_erased_advances_the_number() -> None:
    log = WrittenLog()
    follower = Follower(log, collection=1, model=1, dimension=D)
    follower.start()
    log.write("add", 1, 1)

    replica = follower.catch_up(None)

    assert replica is not None
    assert (replica.sequence, len(replica)) == (1, 0)
