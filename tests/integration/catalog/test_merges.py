"""Two people become one, and two again: what was theirs, and is still there, comes back."""

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from services.catalog import faces, generations, log, people
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.reviewing import merges
from services.catalog.schema import Face, Item, LogEntry, Person, now
from services.catalog.tables.console import Merge
from services.errors import Conflict, NotFound
from tests.integration.catalog import rows
from tests.integration.catalog.building import build


class Family:
    """Ana and Anna, who are one, with a face each; and Ben."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        with catalog.transaction() as session:
            self.gallery = rows.gallery(session).id
            self.ana = people.ensure(session, self.gallery, "Ana")
            self.anna = people.ensure(session, self.gallery, "Anna", "e-7", {"team": "Research"})
            self.ben = people.ensure(session, self.gallery, "Ben")
            self.of_ana = rows.face(session, rows.photo(session, "ana"), self.ana).public_id
            self.of_anna = [rows.face(session, rows.photo(session, f"anna{n}"), self.anna).public_id for n in (1, 2)]

    def merge(self, source: str = "Anna", into: str = "Ana") -> str:
        """Public id of the merge."""
        with self.catalog.transaction() as session:
            one, other = (people.by_name(session, self.gallery, name)[0] for name in (source, into))
            return merges.merge(session, one, other, by="test").merge

    def undo(self, merge: str) -> merges.Undone:
        """In a transaction of its own."""
        with self.catalog.transaction() as session:
            return merges.undo(session, self.gallery, merge)

    def owners(self) -> dict[str, set[str | None]]:
        """Who has each face, in all rounds."""
        found: dict[str, set[str | None]] = {}
        with self.catalog.reading() as session:
            for face, name in session.execute(select(Face.public_id, Person.name).outerjoin(Person)):
                found.setdefault(face, set()).add(name)
        return found


@pytest.fixture
def family(catalog: Catalog) -> Family:
    return Family(catalog)


def test_who_was_merged_comes_back_as_they_were(family: Family) -> None:
    undone = family.undo(family.merge())

    with family.catalog.reading() as session:
        back = people.by_public_id(session, family.gallery, family.anna.public_id)
        assert (back.name, back.external_id, back.attributes) == ("Anna", "e-7", {"team": "Research"})
        assert back.created_at == family.anna.created_at
        assert back.search_name == "anna"
        first = session.get_one(LogEntry, (family.gallery, undone.head - 1))
        assert (first.operation, first.person_id) == ("assign", back.id)
    assert undone.person.public_id == family.anna.public_id
    assert family.owners() == {family.of_ana: {"Ana"}, **{face: {"Anna"} for face in family.of_anna}}


def test_what_somebody_has_done_meanwhile_holds(family: Family) -> None:
    merge = family.merge()
    given, gone = family.of_anna
    with family.catalog.transaction() as session:
        faces.assign(
            session, faces.by_public_id(session, family.gallery, given), session.get_one(Person, family.ben.id)
        )
        faces.delete(session, faces.by_public_id(session, family.gallery, gone))

    family.undo(merge)

    assert family.owners() == {family.of_ana: {"Ana"}, given: {"Ben"}}


def test_faces_come_back_in_every_round_even_in_one_begun_since(family: Family) -> None:
    with family.catalog.transaction() as session:
        rows.generation(session, rows.model(session))
    merge = family.merge()
    with family.catalog.transaction() as session:
        number = generations.next_round(session, family.gallery)
        build(session, rows.generation(session, rows.model(session), round_=number))

    family.undo(merge)

    assert family.owners() == {family.of_ana: {"Ana"}, **{face: {"Anna"} for face in family.of_anna}}


def test_a_merge_is_undone_once(family: Family) -> None:
    merge = family.merge()
    family.undo(merge)

    with pytest.raises(Conflict, match="already"):
        family.undo(merge)


def test_a_merge_into_somebody_who_was_merged_on_is_undone_from_there(family: Family) -> None:
    first = family.merge("Anna", "Ana")
    family.merge("Ana", "Ben")

    family.undo(first)

    assert family.owners() == {family.of_ana: {"Ben"}, **{face: {"Anna"} for face in family.of_anna}}


@pytest.mark.parametrize("order", ["last first", "first first"])
def test_merges_in_a_row_are_undone_in_any_order(family: Family, order: str) -> None:
    made = [family.merge("Anna", "Ana"), family.merge("Ana", "Ben")]

    for merge in reversed(made) if order == "last first" else made:
        family.undo(merge)

    assert family.owners() == {family.of_ana: {"Ana"}, **{face: {"Anna"} for face in family.of_anna}}


@pytest.mark.parametrize("taken", ["name", "external id"])
def test_a_name_that_is_taken_by_now_is_told_and_changes_nothing(family: Family, taken: str) -> None:
    with family.catalog.transaction() as session:
        family.anna.external_id = "e-7" if taken == "external id" else None
        session.execute(update(Person).where(Person.id == family.anna.id).values(external_id=family.anna.external_id))
    merge = family.merge()
    with family.catalog.transaction() as session:
        people.ensure(session, family.gallery, "Anna" if taken == "name" else "Zoe", family.anna.external_id)

    with pytest.raises(Conflict, match=rf"Somebody else has the {taken}.*undo this again"):
        family.undo(merge)

    assert {who for owners in family.owners().values() for who in owners} == {"Ana"}


@pytest.mark.parametrize("after", ["merging", "undoing"])
def test_who_is_erased_leaves_no_name_behind(family: Family, after: str) -> None:
    merge = family.merge()
    if after == "undoing":
        family.undo(merge)
    with family.catalog.transaction() as session:
        who = "Ana" if after == "merging" else "Anna"
        people.delete(session, people.by_name(session, family.gallery, who)[0])

    with family.catalog.reading() as session:
        kept = session.scalars(select(Merge)).all()
        assert [row.person for row in kept] == ([] if after == "merging" else [None])
        assert [row.faces for row in kept] in ([], [[]])
    if after == "merging":
        with pytest.raises(NotFound):
            family.undo(merge)


def test_who_is_erased_further_on_takes_along_whom_they_had_swallowed(family: Family) -> None:
    family.merge("Anna", "Ana")
    family.merge("Ana", "Ben")
    with family.catalog.transaction() as session:
        people.delete(session, people.by_name(session, family.gallery, "Ben")[0])

    with family.catalog.reading() as session:
        assert session.scalars(select(Merge)).all() == []
        assert session.scalars(select(Person)).all() == []


def test_photos_that_were_under_way_come_back_too(family: Family) -> None:
    """They were said to show who went; taken in after the merge they went to who remained."""
    with family.catalog.transaction() as session:
        late = jobs.add_item(session, rows.job(session), "late.jpg", photo=rows.photo(session, "late"))
        late.person_id, late.labelled = family.anna.id, True
    merge = family.merge()
    with family.catalog.transaction() as session:
        item = session.get_one(Item, late.id)
        assert item.person_id == family.ana.id
        face = rows.face(session, rows.photo_of(session, item), session.get_one(Person, family.ana.id))
        face.assigned_by, item.state = "import", "done"
        item.finished_at = session.scalar(select(now()))
        session.flush()

    family.undo(merge)

    assert family.owners()[face.public_id] == {"Anna"}
    with family.catalog.reading() as session:
        assert session.get_one(Item, late.id).person_id == _number(session, family, "Anna")


def test_merges_are_listed_for_a_month(family: Family) -> None:
    first = family.merge("Anna", "Ana")
    second = family.merge("Ben", "Ana")
    family.undo(second)

    with family.catalog.transaction() as session:
        ana = people.by_name(session, family.gallery, "Ana")[0]
        listed = merges.page(session, family.gallery, into=ana)
        assert [(row.merge.public_id, row.into.name) for row in listed] == [(second, "Ana"), (first, "Ana")]
        assert listed[0].back is not None
        assert listed[0].back.name == "Ben"
        remained = merges.remained_of(session, family.gallery, family.anna.public_id)
        assert remained is not None
        assert remained.name == "Ana"
        assert merges.remained_of(session, family.gallery, family.ben.public_id) is None
        merges.prune(session)
        assert len(merges.page(session, family.gallery)) == 2
        session.execute(update(Merge).values(created_at=now() - merges.UNDONE_WITHIN_S - 60))
        merges.prune(session)
        assert merges.page(session, family.gallery) == []


def test_the_log_tells_of_everything_that_was_moved(family: Family) -> None:
    with family.catalog.reading() as session:
        before = log.head(session, family.gallery)
    undone = family.undo(family.merge())

    assert before is not None
    assert undone.head == before[1] + 2 * len(family.of_anna)


def _number(session: Session, family: Family, name: str) -> int:
    return people.by_name(session, family.gallery, name)[0].id
