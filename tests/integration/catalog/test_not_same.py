"""What somebody said is not so: remembered for every round, taken back by what is said later, erased with whom it is about."""

import pytest
from sqlalchemy import func, select

from services.catalog import chips, faces, generations, people, photos
from services.catalog.engine import Catalog
from services.catalog.rebuilding import dropped, findings
from services.catalog.reviewing import merges, naming, not_same
from services.catalog.schema import Face, Generation, Person, Photo
from services.catalog.tables.console import NotSame
from services.catalog.tables.rebuild import Rebuild
from services.errors import Conflict, NotFound
from tests.integration.catalog import rows
from tests.integration.catalog.building import build


class Said:
    """Three faces of nobody, one of Ana's and one of Ben's."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        with catalog.transaction() as session:
            self.gallery = rows.gallery(session).id
            self.ana, self.ben, self.eva = (people.ensure(session, self.gallery, n) for n in ("Ana", "Ben", "Eva"))
            self.first = rows.generation(session, rows.model(session))
            self.of_ana = rows.face(session, rows.photo(session, "ana"), self.ana).public_id
            self.of_ben = rows.face(session, rows.photo(session, "ben"), self.ben).public_id
            self.loose = [rows.face(session, rows.photo(session, f"loose{n}"), None).public_id for n in range(3)]

    def reject(self, *public_ids: str, person: Person | None = None) -> naming.Named:
        """Not Ana, or not *person*."""
        with self.catalog.transaction() as session:
            return naming.reject(session, self.gallery, public_ids, person or self.ana, by="test")

    def take_apart(self, face: str, *others: str) -> None:
        with self.catalog.transaction() as session:
            naming.take_apart(session, self.gallery, face, others, by="test")

    def assign(self, *public_ids: str, person: Person | None) -> naming.Named:
        with self.catalog.transaction() as session:
            return naming.assign(session, self.gallery, public_ids, person)

    def people_not(self, *public_ids: str) -> dict[str, set[int]]:
        with self.catalog.reading() as session:
            return not_same.people_not(session, public_ids)

    def owner(self, public_id: str) -> set[int | None]:
        """Whose a face is, in every round."""
        with self.catalog.reading() as session:
            return set(session.scalars(select(Face.person_id).where(Face.public_id == public_id)))

    def count(self) -> int:
        """Rows of it."""
        with self.catalog.reading() as session:
            return session.scalar(select(func.count()).select_from(NotSame)) or 0


@pytest.fixture
def said(catalog: Catalog) -> Said:
    return Said(catalog)


def test_a_face_of_somebody_that_is_not_them_becomes_nobodys_in_every_round(said: Said) -> None:
    with said.catalog.transaction() as session:
        build(session, rows.generation(session, rows.model(session), round_=1))

    rejected = said.reject(said.of_ana)

    assert said.owner(said.of_ana) == {None}
    assert said.people_not(said.of_ana, said.of_ben) == {said.of_ana: {said.ana.id}}
    with said.catalog.reading() as session:
        assert rejected.head == rows.gallery(session).head


def test_saying_it_twice_is_saying_it_once_and_it_can_be_taken_back(said: Said) -> None:
    for _ in range(2):
        said.reject(said.loose[0], said.loose[1])
    assert said.count() == 2

    with said.catalog.transaction() as session:
        not_same.take_back(session, said.loose[0], person=said.ana)

    assert said.people_not(*said.loose) == {said.loose[1]: {said.ana.id}}


def test_a_face_taken_out_of_a_group_is_not_who_the_group_is_found_to_be(said: Said) -> None:
    odd, *group = said.loose
    said.take_apart(odd, *group)
    assert said.people_not(odd) == {}

    said.assign(*group, person=said.eva)

    assert said.people_not(odd, *group) == {odd: {said.eva.id}}
    with said.catalog.reading() as session:
        assert not_same.apart(session, said.loose) == {odd: set(group)}


def test_what_is_said_last_counts(said: Said) -> None:
    odd, *group = said.loose
    said.reject(odd)
    said.take_apart(odd, *group)
    said.assign(*group, person=said.ana)

    said.assign(odd, person=said.ana)

    assert (said.people_not(odd, *group), said.count()) == ({}, 0)


def test_it_is_known_by_the_bytes_of_the_photo_with_the_box_of_the_face(said: Said) -> None:
    said.reject(said.loose[0])

    with said.catalog.reading() as session:
        sha256 = session.scalar(
            select(Photo.sha256).join(Face, Face.photo_id == Photo.id).where(Face.public_id == said.loose[0])
        )
        found = not_same.in_photo(session, said.gallery, str(sha256), 0)
        assert not_same.in_photo(session, said.gallery, "0" * 64, 0) == []

    assert [(list(kept.box), kept.people) for kept in found] == [([0.0, 0.0, 10.0, 10.0], {said.ana.id})]


def test_a_face_takes_what_was_said_of_it_along_when_it_is_deleted(said: Said) -> None:
    said.reject(said.loose[0])
    said.take_apart(said.loose[1], said.loose[0])
    said.take_apart(said.loose[1], said.loose[2])

    with said.catalog.transaction() as session:
        faces.delete(session, faces.by_public_id(session, said.gallery, said.loose[0]))

    assert said.count() == 1


def test_a_person_takes_what_was_said_of_them_along_when_they_are_erased(said: Said) -> None:
    said.reject(said.loose[0])
    said.reject(said.loose[0], person=said.ben)
    with said.catalog.transaction() as session:
        not_same.distinguish(session, said.ana, [said.ben, said.eva], by="test")

    with said.catalog.transaction() as session:
        people.delete(session, people.by_public_id(session, said.gallery, said.ana.public_id))

    assert said.people_not(said.loose[0]) == {said.loose[0]: {said.ben.id}}
    assert said.count() == 1


def test_a_photo_takes_what_was_said_of_its_faces_along(said: Said) -> None:
    said.reject(said.loose[0])

    with said.catalog.transaction() as session:
        face = faces.by_public_id(session, said.gallery, said.loose[0])
        photos.delete(session, faces.by_ids(session, [face.id])[face.id][1])

    assert said.count() == 0


def test_a_round_that_is_dropped_leaves_what_was_said_to_the_rows_that_stay(said: Said) -> None:
    with said.catalog.transaction() as session:
        later = rows.generation(session, rows.model(session), round_=1)
        build(session, later)
        alone = session.scalars(select(Face).where(Face.public_id == said.loose[1], Face.round == 0)).one()
        faces.remove_rows(session, alone)
    said.reject(*said.loose)

    with said.catalog.transaction() as session:
        generation = session.get_one(Generation, later.id)
        generations.drop(session, generation)
        dropped.remove(session, generation, dropped.faces(session, generation, after=0, limit=100))

    assert set(said.people_not(*said.loose)) == {said.loose[0], said.loose[2]}


def test_what_is_not_who_was_merged_is_not_who_remained(said: Said) -> None:
    said.reject(said.loose[0], said.of_ben)
    with said.catalog.transaction() as session:
        not_same.distinguish(session, said.ana, [said.ben, said.eva], by="test")

    with said.catalog.transaction() as session:
        ana, ben = (people.by_public_id(session, said.gallery, p.public_id) for p in (said.ana, said.ben))
        merges.merge(session, ana, ben, by="test")

    assert said.people_not(said.loose[0], said.of_ben) == {said.loose[0]: {said.ben.id}}  # Ben's own face is his.
    with said.catalog.reading() as session:
        assert [p.name for p in not_same.distinct_from(session, said.eva)] == ["Ben"]


def test_undoing_a_merge_brings_back_what_was_said(said: Said) -> None:
    said.reject(said.loose[0])
    said.reject(said.of_ana, person=said.ben)
    with said.catalog.transaction() as session:
        not_same.distinguish(session, said.ana, [said.ben, said.eva], by="test")
    before = said.people_not(said.loose[0], said.of_ana)

    with said.catalog.transaction() as session:
        ana, ben = (people.by_public_id(session, said.gallery, p.public_id) for p in (said.ana, said.ben))
        merge = merges.merge(session, ana, ben, by="test").merge
    assert said.people_not(said.of_ana) == {}  # It is Ben's now: the merge says so.
    with said.catalog.transaction() as session:
        back = merges.undo(session, said.gallery, merge).person

    assert said.people_not(said.loose[0], said.of_ana) == {
        face: {back.id if number == said.ana.id else number for number in numbers} for face, numbers in before.items()
    }
    with said.catalog.reading() as session:
        assert [p.name for p in not_same.distinct_from(session, back)] == ["Ben", "Eva"]
        assert [p.name for p in not_same.distinct_from(session, said.ben)] == ["Ana"]


def test_two_people_are_told_apart_both_ways_and_confounded_again(said: Said) -> None:
    with said.catalog.transaction() as session:
        not_same.distinguish(session, said.ben, [said.ana, said.ben], by="test")
        not_same.distinguish(session, said.ana, [said.ben], by="test")
        assert not_same.distinct(session, [said.ana.id, said.ben.id, said.eva.id]) == {(said.ana.id, said.ben.id)}
        not_same.confound(session, said.ana, [said.ben])
        assert not_same.distinct_from(session, said.ben) == []


def test_no_more_is_said_of_a_face_than_can_be_read(said: Said) -> None:
    with said.catalog.transaction() as session:
        many = [people.ensure(session, said.gallery, f"Person {n}") for n in range(not_same.MOST_OF_A_FACE)]
        for person in many:
            not_same.reject(session, said.gallery, [said.loose[0]], person, by="test")

    with pytest.raises(Conflict, match="Take some back"):
        said.reject(said.loose[0])


def test_many_faces_are_named_at_once_with_one_append_and_those_that_are_gone_are_passed_over(said: Said) -> None:
    with said.catalog.transaction() as session:
        before = rows.gallery(session).head
        boxed = faces.by_public_id(session, said.gallery, said.loose[2])
        boxed.chip_key = None

    named = said.assign(*said.loose, "fac_gone", person=said.eva)

    assert (named.faces, named.head) == (said.loose[:2], before + 2)
    assert [said.owner(face) for face in said.loose] == [{said.eva.id}, {said.eva.id}, {None}]


def test_nobody_is_given_faces_who_was_erased_a_moment_ago(said: Said) -> None:
    with said.catalog.transaction() as session:
        people.delete(session, people.by_public_id(session, said.gallery, said.eva.public_id))

    with pytest.raises(NotFound, match="person"):
        said.assign(*said.loose, person=said.eva)
    with pytest.raises(NotFound, match="person"):
        said.reject(*said.loose, person=said.eva)


def test_a_face_that_was_looked_at_stays_confirmed_until_it_is_given_away(said: Said) -> None:
    def by() -> str | None:
        with said.catalog.reading() as session:
            return faces.by_public_id(session, said.gallery, said.of_ana).assigned_by

    with said.catalog.transaction() as session:
        naming.confirm(session, faces.by_public_id(session, said.gallery, said.of_ana))
        with pytest.raises(Conflict, match="nobody"):
            naming.confirm(session, faces.by_public_id(session, said.gallery, said.loose[0]))
    assert by() == naming.CONFIRMED

    said.assign(said.of_ana, person=said.ben)
    assert by() == "hand"


def test_a_face_that_a_rebuild_found_more_than_once_keeps_what_was_said_of_it_and_of_who_it_was_found_to_be(
    said: Said,
) -> None:
    with said.catalog.transaction() as session:
        later = rows.generation(session, rows.model(session), round_=1)
        build(session, later)
        kept, candidate = (faces.by_public_id(session, said.gallery, face, 1) for face in (said.of_ana, said.loose[0]))
        photo = faces.by_ids(session, [kept.id])[kept.id][1]
        candidate.photo_id, candidate.public_id = photo.id, faces.new_public_id()  # Only the new detection has it.
        rebuild = Rebuild(
            public_id="reb_1",
            collection_id=said.gallery,
            model_id=later.model_id,
            from_generation=said.first.id,
            generation_id=later.id,
            state="switched",
        )
        session.add(rebuild)
        session.flush()
        findings.note(
            session,
            rebuild,
            findings.AMBIGUOUS,
            photo=photo.public_id,
            face=kept.public_id,
            candidates=[candidate.public_id],
        )
        number = findings.page(session, rebuild)[0].id
        assert findings.undecided(session, said.gallery) == ("reb_1", 1)
        not_same.reject(session, said.gallery, [said.of_ana], said.ben, by="test")
        not_same.reject(session, said.gallery, [candidate.public_id], said.eva, by="test")
        not_same.reject(session, said.gallery, [candidate.public_id], said.ana, by="test")

    with said.catalog.transaction() as session:
        rebuild = session.get_one(Rebuild, rebuild.id)
        findings.decide(session, rebuild, number, candidate.public_id)

    assert said.people_not(said.of_ana, candidate.public_id) == {said.of_ana: {said.ben.id, said.eva.id}}
    with said.catalog.reading() as session:
        assert findings.undecided(session, said.gallery) is None


def test_the_chip_of_a_face_that_only_a_rebuild_has_found_is_known(said: Said) -> None:
    with said.catalog.transaction() as session:
        build(session, rows.generation(session, rows.model(session), round_=1))
        row = faces.by_public_id(session, said.gallery, said.of_ana, 1)
        row.chip_key = "chips/new"
        alone = faces.by_public_id(session, said.gallery, said.loose[0], 1)
        alone.public_id = "fac_new"

    with said.catalog.reading() as session:
        assert chips.key_of(session, said.gallery, said.of_ana) != "chips/new"
        assert chips.key_of(session, said.gallery, "fac_new") == f"chips/{said.gallery}/{said.loose[0]}"
        with pytest.raises(NotFound):
            chips.key_of(session, said.gallery, "fac_gone")
