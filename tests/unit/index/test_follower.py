"""A replica is what the log says, wherever it started and whatever came between."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from index.engine.compaction import Sizes
from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from index.follower import Follower
from index.frozen import freeze
from index.owners import NOBODY
from index.templates import template
from tests.unit.index.arrays import D, FolderShelf, WrittenLog, unit_vectors
from tests.unit.index.changes import FACES, PEOPLE, ChangesOfALog


def home(folder: Path, shelf: FolderShelf | None = None) -> EngineHome:
    """Tails of four rows, so that there are segments to snapshot."""
    return EngineHome(D, folder, SealingHere(), shelf, sizes=Sizes(tail=4, segment=16, small=2))


class FollowerAgainstLog(ChangesOfALog):
    """Adds, removals, assignments, pruned entries, restored backups, snapshots and their damage, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.shelf = FolderShelf(self.root / "shelf")
        self.shelf.folder.mkdir()
        self.searcher = 0
        self.home = self.opened()
        self.follower = Follower(self.log, 1, 1, self.home)

    def opened(self) -> EngineHome:
        return home(self.root / str(self.searcher), self.shelf)

    @rule(person=PEOPLE, name=st.sampled_from(["Sales", "Research"]))
    def change_department(self, person: int, name: str) -> None:
        self.log.departments[person] = name
        self.log.write("attributes", 0, person)

    @rule()
    def settle(self) -> None:
        if self.follower.replica is not None:
            self.follower.replica.settle()

    @rule()
    def write_a_snapshot(self) -> None:
        if self.follower.replica is not None:
            self.home.snapshots.write(freeze(self.follower.replica))
            self.home.snapshots.clean(self.follower.replica.files())

    @rule()
    def bring_a_snapshot_to_the_shelf(self) -> None:
        if self.follower.replica is not None and not self.shelf.is_away:
            self.home.snapshots.upload(self.home.snapshots.write(freeze(self.follower.replica)))

    @rule()
    def die_and_start_again(self) -> None:
        self.home = self.opened()
        self.follower = Follower(self.log, 1, 1, self.home)

    @rule()
    def start_on_another_machine(self) -> None:
        self.searcher += 1
        self.die_and_start_again()

    @rule(which=st.integers(0, 99), how=st.sampled_from(["cut", "flipped", "gone"]), on_the_shelf=st.booleans())
    def die_and_find_a_file_damaged(self, which: int, how: str, *, on_the_shelf: bool) -> None:
        folder = self.shelf.folder if on_the_shelf else self.home.folder
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if files:
            damage(files[which % len(files)], how)
        self.die_and_start_again()

    @rule(away=st.booleans())
    def shelf_goes_and_comes(self, *, away: bool) -> None:
        self.shelf.is_away = away

    @rule(face=FACES, seed=st.integers(20, 30))
    def embed_again(self, face: int, seed: int) -> None:
        if face in self.log.rows:
            self.log.write("add", face, self.log.rows[face][0] or None, unit_vectors(1, seed=seed)[0])

    @rule()
    def restore_a_backup(self) -> None:
        self.log.epoch = self.log.epoch + "'"
        self.log.sequence = max(0, self.log.sequence - 3)
        self.log.written = [row for row in self.log.written if row[0] <= self.log.sequence]

    @rule()
    def follow(self) -> None:
        self.follower.follow()
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
            assert replica.owners.person_of(face) == person
            np.testing.assert_allclose(replica.faces.vectors([face])[0], vector, atol=1e-3)
        for person in (1, 2, 3):
            faces = {face: vector for face, (owner, vector) in self.log.rows.items() if owner == person}
            assert set(replica.owners.faces_of(person)) == set(faces)
            if faces:
                mean = template(np.stack(list(faces.values())))
                np.testing.assert_allclose(replica.templates.vectors([person])[0], mean, atol=2e-3)
            else:
                assert not replica.templates.vectors([person]).any()
        enrolled = {person for person, _ in self.log.rows.values() if person}
        for name in ("Sales", "Research"):
            expected = {person for person, held in self.log.departments.items() if held == name} & enrolled
            matching = set(replica.attributes.matching({"department": name}).tolist())
            assert matching & enrolled == expected

    def teardown(self) -> None:
        shutil.rmtree(self.root)


def damage(file: Path, how: str) -> None:
    """Cut a file short, flip one bit of it, or remove it."""
    if how == "gone":
        file.unlink()
        return
    held = bytearray(file.read_bytes())
    if how == "cut":
        file.write_bytes(held[: len(held) // 2])
    elif held:
        held[len(held) // 3] ^= 4
        file.write_bytes(held)


TestFollowerAgainstLog = FollowerAgainstLog.TestCase
TestFollowerAgainstLog.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_changes_while_the_rows_are_read_is_not_missed(tmp_path: Path) -> None:
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
    follower = Follower(log, 1, 1, home(tmp_path))

    replica = follower.start()

    assert replica is not None
    assert replica.sequence == log.sequence
    assert (replica.owners.person_of(2), replica.owners.person_of(9), len(replica)) == (NOBODY, 2, 8)


def test_a_collection_that_is_gone_has_no_replica(tmp_path: Path) -> None:
    assert Follower(WrittenLog(), 2, 1, home(tmp_path)).start() is None


def test_an_entry_whose_embedding_was_erased_advances_the_number(tmp_path: Path) -> None:
    log = WrittenLog()
    follower = Follower(log, 1, 1, home(tmp_path))
    follower.start()
    log.write("add", 1, 1)

    replica = follower.follow()

    assert replica is not None
    assert (replica.sequence, len(replica)) == (1, 0)
