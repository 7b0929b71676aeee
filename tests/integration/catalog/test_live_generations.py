"""Whatever is done in whatever order: prepared generations are complete, and faces, names and log tell one story."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from services.catalog import collections, faces, generations, log, people, photos
from services.catalog.engine import Catalog
from services.catalog.reviewing import merges
from services.catalog.schema import Collection, Embedding, Face, Generation, Person, Photo, Removal, new_id
from services.errors import Conflict, NotFound
from tests.integration.catalog import rows
from tests.integration.catalog.building import VECTOR, build
from workers import freeing

pytestmark = pytest.mark.slow

NAMES = ("Ana", "Ben", "Eva")
HOW = settings(
    max_examples=200 if os.environ.get("COLEGA_SOAK") else 15,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Following:
    """What a searcher holds of a generation: read from rows once, then from the log."""

    def __init__(self, session: Session, generation: Generation) -> None:
        self.generation = generation
        self.sequence = session.get_one(Collection, generation.collection_id).head
        self.owners = rows_of(session, generation)

    def follow(self, session: Session) -> None:
        """Apply what was logged since."""
        while found := log.entries(session, self.generation.collection_id, self.generation.id, self.sequence, 100):
            for entry in found:
                if entry.operation == "remove":
                    self.owners.pop(entry.face_id, None)
                elif (entry.operation == "add" and entry.vector is not None) or (
                    entry.operation == "assign" and entry.face_id in self.owners
                ):
                    self.owners[entry.face_id] = entry.person_id
                self.sequence = entry.sequence


@dataclass
class MergeHere:
    """Who was merged into whom, and what went along."""

    gone: str
    into: str
    faces: set[str]
    carried: set[str]
    undone: bool = False


def rows_of(session: Session, generation: Generation) -> dict[int, int | None]:
    """Whose each face of a generation is, by number."""
    return {
        row.face_id: row.person_id
        for batch in log.owners(session, generation.collection_id, generation.id)
        for row in batch
    }


class Live(RuleBasedStateMachine):
    """A collection, and beside it whose each face is, in a plain dictionary."""

    catalog: Catalog
    found = Bundle("found")
    made = Bundle("made")
    merged = Bundle("merged")

    @initialize(targets=(made,), anew=st.booleans())
    def open(self, anew: bool) -> Any:
        """A new collection with a few faces under a model, and another generation of them that is ready."""
        with self.catalog.transaction() as session:
            collection = collections.create(session, f"c{secrets.token_hex(6)}")
            self.id, self.models = collection.id, [rows.model(session).id for _ in range(3)]
            first = generations.first(session, collection, self.models[0], None)
            self.following = {first.id: Following(session, first)}
        self.owners: dict[str, str | None] = {}
        self.boxes: set[str] = set()
        self.chips: set[str] = set()
        self.merges: dict[str, MergeHere] = {}
        for name in ("Ana", "Ben", None):
            self.take_in(name, boxes=1)
        second = self.begin(1, anew=anew)
        self.prepare(second, completed=True)
        return second

    @rule(target=found, name=st.sampled_from((*NAMES, None)), boxes=st.integers(0, 2))
    def take_in(self, name: str | None, boxes: int) -> Any:
        """A photo of one face with a chip, and others that are kept as boxes."""
        with self.catalog.transaction() as session:
            person = None if name is None else people.ensure(session, self.id, name)
            photo = self._photo(session)
            live = generations.live_of(session, self.id)
            public_ids = [faces.new_public_id() for _ in range(1 + boxes)]
            changes = []
            for round_ in sorted({generation.round for generation in live}):
                for place, public_id in enumerate(public_ids):
                    row = self._row(photo, public_id, round_)
                    session.add(row)
                    if place == 0:
                        changes += self._make_whole(session, row, person, live)
            appended = log.append(session, self.id, changes)
            assert set(appended.live) == {generation.id for generation in live}
        self.owners[public_ids[0]] = name
        self.boxes |= set(public_ids[1:])
        return multiple(*public_ids)

    @rule(target=found)
    def known(self) -> Any:
        """The faces that there were from the start."""
        return multiple(*sorted({*self.owners, *self.boxes}))

    @rule(public_id=found, name=st.sampled_from(NAMES))
    def name_a_box(self, public_id: str, name: str) -> None:
        """An import says whose a face is that was kept as a box."""
        if public_id not in self.boxes:
            return
        with self.catalog.transaction() as session:
            person = people.ensure(session, self.id, name)
            live, changes = generations.live_of(session, self.id), []
            there = faces.rows_of(session, faces.by_public_id(session, self.id, public_id))
            by_round = {row.round: row for row in there}
            for round_ in sorted({generation.round for generation in live}):
                row = by_round.get(round_)
                if row is None:  # A rebuild that has not come so far.
                    row = self._row(session.get_one(Photo, there[0].photo_id), public_id, round_)
                    session.add(row)
                changes += self._make_whole(session, row, person, live)
            log.append(session, self.id, changes)
        self.boxes.discard(public_id)
        self.owners[public_id] = name

    @rule(public_id=found, name=st.sampled_from((*NAMES, None)))
    def assign(self, public_id: str, name: str | None) -> None:
        """By hand."""
        if public_id not in self.owners:
            return
        with self.catalog.transaction() as session:
            person = None if name is None else people.ensure(session, self.id, name)
            faces.assign(session, faces.by_public_id(session, self.id, public_id), person)
        self.owners[public_id] = name

    @rule(target=merged, source=st.sampled_from(NAMES), into=st.sampled_from(NAMES))
    def merge(self, source: str, into: str) -> Any:
        """Two people are one."""
        with self.catalog.transaction() as session:
            one, other = self._person(session, source), self._person(session, into)
            if one is None or other is None or source == into:
                return multiple()
            merge = merges.merge(session, one, into=other, by="test").merge
        theirs = {face for face, name in self.owners.items() if name == source}
        carried = {number for number, before in self.merges.items() if before.into == source}
        for number in carried:
            self.merges[number].into = into
        self.merges[merge] = MergeHere(source, into, theirs, carried)
        self.owners = {face: into if name == source else name for face, name in self.owners.items()}
        return merge

    @rule(merge=merged)
    def undo(self, merge: str) -> None:
        """They are two again, if nobody has taken the name; what was done with a face meanwhile holds."""
        before = self.merges.get(merge)
        try:
            with self.catalog.transaction() as session:
                taken = before is not None and self._person(session, before.gone) is not None
                merges.undo(session, self.id, merge)
        except NotFound:
            assert before is None
            return
        except Conflict:
            assert before is not None
            assert before.undone or taken
            return
        assert before is not None
        assert not before.undone
        for face in before.faces:
            if self.owners.get(face) == before.into:
                self.owners[face] = before.gone
        for number in before.carried & set(self.merges):
            if self.merges[number].into == before.into:
                self.merges[number].into = before.gone
        before.undone = True

    @rule(name=st.sampled_from(NAMES))
    def erase(self, name: str) -> None:
        """A person, with the photos that show nobody else who is known."""
        with self.catalog.transaction() as session:
            person = self._person(session, name)
            if person is None:
                return
            people.delete(session, person)
            self.merges = {number: merge for number, merge in self.merges.items() if merge.into != name}
            left = set(session.scalars(select(Face.public_id).where(Face.collection_id == self.id)))
        assert not {face for face, owner in self.owners.items() if owner == name} & left
        self._forget(left)

    @rule(public_id=consumes(found), whole_photo=st.booleans())
    def delete(self, public_id: str, whole_photo: bool) -> None:
        """A face, or the photo that it is in."""
        if public_id not in self.owners and public_id not in self.boxes:
            return
        with self.catalog.transaction() as session:
            face = faces.by_public_id(session, self.id, public_id)
            if whole_photo:
                photos.delete(session, session.get_one(Photo, face.photo_id))
            else:
                faces.delete(session, face)
            left = set(session.scalars(select(Face.public_id).where(Face.collection_id == self.id)))
        assert public_id not in left
        self._forget(left)

    @rule(target=made, model=st.integers(0, 2), anew=st.booleans())
    def begin(self, model: int, anew: bool) -> Any:
        """A rebuild from chips, or of a new round."""
        with self.catalog.transaction() as session:
            active = session.get_one(Collection, self.id).round
            round_ = generations.next_round(session, self.id) if anew else active
            try:
                return generations.begin(session, self.id, self.models[model], None, round_=round_).id
            except Conflict:
                return multiple()

    @rule(target=made, model=st.integers(0, 2), anew=st.booleans(), completed=st.booleans())
    def rebuild(self, model: int, anew: bool, completed: bool) -> Any:
        """From its start to where it can be switched to, or could be if it were complete."""
        number = self.begin(model, anew=anew)
        if isinstance(number, int):
            self.prepare(number, completed=completed)
        return number

    @rule(number=made, at_most=st.integers(1, 3))
    def build_some(self, number: int, at_most: int) -> None:
        """A chunk of it."""
        with self.catalog.transaction() as session:
            generation = session.get(Generation, number)
            if generation is not None and generation.state == generations.BUILDING:
                build(session, generation, at_most=at_most)

    @rule(number=made, public_id=found)
    def find_again(self, number: int, public_id: str) -> None:
        """A new detection cuts a chip of its own, and the one of before stays with the round that it is of."""
        with self.catalog.transaction() as session:
            generation = session.get(Generation, number)
            if generation is None or generation.state == generations.DROPPED:
                return
            rows_here = session.scalars(
                select(Face).where(Face.public_id == public_id, Face.chip_key.is_not(None))
            ).all()
            mine = next((row for row in rows_here if row.round == generation.round), None)
            if mine is not None and any(row is not mine and row.chip_key == mine.chip_key for row in rows_here):
                mine.chip_key = f"{mine.chip_key}-{number}"
                self.chips.add(mine.chip_key)

    @rule(number=made, completed=st.booleans())
    def prepare(self, number: int, completed: bool) -> None:
        """Complete or not: only one that is can be prepared."""
        with self.catalog.transaction() as session:
            generation = session.get(Generation, number)
            if generation is None or generation.state != generations.BUILDING:
                return
            lacks = build(session, generation) > 0 if completed else not generations.prove(session, generation).holds
        try:
            with self.catalog.transaction() as session:
                generation = session.get_one(Generation, number)
                generations.prepare(session, generation)
                self.following[number] = Following(session, generation)
                assert completed or not lacks
        except Conflict:
            assert lacks
            assert not completed

    @rule(number=made)
    def switch(self, number: int) -> None:
        """Forth, or back."""
        self._switch(number)

    @precondition(lambda self: len(self.following) > 1)
    @rule()
    def switch_to_the_oldest(self) -> None:
        """The way back."""
        self._switch(min(self.following))

    @rule(number=made, for_s=st.sampled_from((None, 0.0, 60.0)))
    def drop(self, number: int, for_s: float | None) -> None:
        """Unless it is searched; and have it freed."""
        self._drop(number)
        if for_s is not None:
            self.free(for_s)

    @precondition(lambda self: len(self.following) > 1)
    @rule()
    def drop_the_oldest(self) -> None:
        """What was kept for a way back is freed."""
        self._drop(min(self.following))
        self.free(60.0)

    @rule(for_s=st.sampled_from((0.0, 60.0)))
    def free(self, for_s: float) -> None:
        """To the end, or stopped half-way."""
        freeing.free(self.catalog, for_s=for_s, dropped_for_s=0, fewest=1)

    @invariant()
    def prepared_generations_are_complete(self) -> None:
        """And what a searcher follows is what the rows say."""
        with self.catalog.reading() as session:
            for number, following in self.following.items():
                proof = generations.prove(session, following.generation)
                assert proof.holds, (number, proof)
                following.follow(session)
                assert following.owners == rows_of(session, following.generation)

    @invariant()
    def the_same_faces_are_the_same_peoples_in_every_round(self) -> None:
        """In those of prepared generations, the active one among them."""
        with self.catalog.reading() as session:
            for round_ in {following.generation.round for following in self.following.values()}:
                mine = (Face.collection_id == self.id, Face.round == round_)
                told = select(Face.public_id, Face.chip_key, Person.name).outerjoin(Person, Person.id == Face.person_id)
                found = session.execute(told.where(*mine)).all()
                assert {row.public_id: row.name for row in found if row.chip_key} == self.owners
                assert {row.public_id for row in found if not row.chip_key} == self.boxes
            assert session.get_one(Collection, self.id).round in {f.generation.round for f in self.following.values()}

    @invariant()
    def chips_are_removed_when_no_row_uses_them_and_not_before(self) -> None:
        """Of faces that were erased, deleted, or of rounds that are gone."""
        with self.catalog.reading() as session:
            used = set(session.scalars(select(Face.chip_key).where(Face.chip_key.in_(self.chips))))
            removed = session.scalars(select(Removal.object_key).where(Removal.object_key.in_(self.chips))).all()
        assert sorted(removed) == sorted(self.chips - used)

    def _switch(self, number: int) -> None:
        try:
            with self.catalog.transaction() as session:
                generation = session.get(Generation, number)
                if generation is not None:
                    generations.switch(session, generation)
        except Conflict:
            assert number not in self.following

    def _drop(self, number: int) -> None:
        with self.catalog.transaction() as session:
            generation = session.get(Generation, number)
            if generation is None:
                return
            try:
                generations.drop(session, generation)
            except Conflict:
                assert session.get_one(Collection, self.id).generation_id == number
            else:
                self.following.pop(number, None)

    def _photo(self, session: Session) -> Photo:
        public_id = new_id("pho")
        photo = Photo(
            public_id=public_id,
            collection_id=self.id,
            sha256=public_id,
            size_bytes=1,
            format="JPEG",
            source_name="x.jpg",
            object_key=f"photos/{public_id}",
            state="done",
        )
        session.add(photo)
        session.flush()
        return photo

    def _row(self, photo: Photo, public_id: str, round_: int) -> Face:
        return Face(
            public_id=public_id,
            collection_id=self.id,
            photo_id=photo.id,
            round=round_,
            rule="test",
            box=[0, 0, 9, 9],
            score=1.0,
        )

    def _make_whole(
        self, session: Session, row: Face, person: Person | None, live: Sequence[Generation]
    ) -> list[log.Change]:
        row.chip_key, row.person_id = f"chips/{row.public_id}", None if person is None else person.id
        self.chips.add(row.chip_key)
        session.flush()
        vector = {"face_id": row.id, "vector": VECTOR, "variant": "fp32"}
        mine = [{**vector, "model_id": g.model_id} for g in live if g.round == row.round]
        session.execute(insert(Embedding), mine)
        return [log.Change("add", row.id, row.person_id)]

    def _person(self, session: Session, name: str) -> Person | None:
        return next(iter(people.by_name(session, self.id, name)), None)

    def _forget(self, left: set[str]) -> None:
        self.owners = {face: name for face, name in self.owners.items() if face in left}
        self.boxes &= left


def test_live_generations_tell_one_story_whatever_is_done(catalog: Catalog) -> None:
    """On both databases; ``python -m pytest --hypothesis-seed`` repeats a failure."""
    machine = type("LiveHere", (Live,), {"catalog": catalog})
    run_state_machine_as_test(
        machine,
        settings=HOW,
    )
