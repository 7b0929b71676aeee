"""Identities: upserted, never doubled; erased with all that shows them."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from services.catalog import faces, listing, log, people
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.reviewing import merges
from services.catalog.schema import Embedding, Face, LogEntry, Person, Photo, Removal
from services.errors import Conflict, InvalidRequest
from tests.integration.catalog import rows
from tests.integration.catalog.building import copied
from tests.waiting import eventually


def test_eight_clients_at_once_make_one_person(catalog: Catalog) -> None:
    ids: list[int] = []
    errors: list[Exception] = []

    def enrol() -> None:
        try:
            for _ in range(6):
                with catalog.transaction() as session:
                    ids.append(people.ensure(session, rows.gallery(session).id, "María José").id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must say so
            errors.append(error)

    clients = [threading.Thread(target=enrol) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert (errors, len(ids), len(set(ids))) == ([], 48, 1)


def test_two_people_of_one_name_stay_two_where_an_external_id_says_so(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        first = people.ensure(session, gallery, "Ana Pérez", "e-1")
        second = people.ensure(session, gallery, "Ana Pérez", "e-2")
        again = people.ensure(session, gallery, "Ana Pérez", "e-1")
        plain = people.ensure(session, gallery, "Ana Pérez")

    assert len({first.id, second.id, plain.id}) == 3
    assert again.id == first.id


def test_composed_and_decomposed_names_are_one_person(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        composed = people.ensure(session, gallery, "Jos\u00e9 Ib\u00e1\u00f1ez")
        decomposed = people.ensure(session, gallery, " Jose\u0301 Iba\u0301n\u0303ez ")

    assert composed.id == decomposed.id


@given(st.text(max_size=30))
def test_a_normalised_name_stays_as_it_is(name: str) -> None:
    try:
        once = people.normalise(name)
    except InvalidRequest:
        return
    assert people.normalise(once) == once


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "a\x1b[31mb", "\u2028", "x" * 201])
def test_a_name_that_nobody_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        people.normalise(name)


def test_a_name_that_is_taken_is_refused_and_changes_nothing(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        people.ensure(session, gallery, "Ana")
        ben = people.ensure(session, gallery, "Ben")
        with pytest.raises(Conflict):
            people.change(session, ben, name="Ana")

    with catalog.reading() as session:
        assert [row.person.name for row in listing.page(session, gallery)] == ["Ana", "Ben"]


def test_search_as_one_types_ignores_case_and_accents(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        for name in ("Ñandú Gómez", "Nando", "100% Ana_B", "Łukasz Sørensen", "Zoë O\u2019Neil"):
            people.ensure(session, gallery, name)

    with catalog.reading() as session:
        found = {
            q: [r.person.name for r in listing.page(session, gallery, query=q)]
            for q in ("nAnd", "0%", "gomez", "sorensen luk", "O'n")
        }

    assert found == {
        "nAnd": ["Nando", "Ñandú Gómez"],
        "0%": ["100% Ana_B"],
        "gomez": ["Ñandú Gómez"],
        "sorensen luk": ["Łukasz Sørensen"],
        "O'n": ["Zoë O\u2019Neil"],
    }


def test_pages_hold_everybody_once(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        for n in range(7):
            people.ensure(session, gallery, "Same Name", f"e-{n}")

    seen: list[str | None] = []
    after: tuple[str, int] | None = None
    with catalog.reading() as session:
        while page := listing.page(session, gallery, limit=3, after=after):
            seen += [row.person.external_id for row in page]
            after = (page[-1].person.search_name, page[-1].person.id)

    assert sorted(filter(None, seen)) == [f"e-{n}" for n in range(7)]


def test_merging_moves_every_face_and_logs_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        ana, anna = people.ensure(session, gallery, "Ana"), people.ensure(session, gallery, "Anna")
        face = rows.face(session, rows.photo(session, "a"), anna)
        before = log.head(session, gallery)

    with catalog.transaction() as session:
        head = merges.merge(session, anna, into=ana, by="test").head

    assert before is not None
    assert head == before[1] + 1
    with catalog.reading() as session:
        entry = session.get_one(LogEntry, (gallery, head))
        assert (entry.operation, entry.face_id, entry.person_id) == ("assign", face.id, ana.id)
        assert session.get(Person, anna.id) is None


def test_erasing_a_person_leaves_no_row_that_shows_them(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery, model = rows.gallery(session).id, rows.model(session)
        generation = rows.generation(session, model).id
        ana, ben = people.ensure(session, gallery, "Ana"), people.ensure(session, gallery, "Ben")
        alone, both = rows.photo(session, "alone"), rows.photo(session, "both")
        mine = [rows.face(session, photo, ana, embedded_by=model) for photo in (alone, both)]
        his = rows.face(session, both, ben, embedded_by=model)

    with catalog.transaction() as session:
        head = people.delete(session, people.by_public_id(session, gallery, ana.public_id))

    with catalog.reading() as session:
        assert session.scalars(select(Person.name)).all() == ["Ben"]
        assert session.scalars(select(Face.id)).all() == [his.id]
        assert session.scalars(select(Embedding.face_id)).all() == [his.id]
        assert session.scalars(select(Photo.id)).all() == [both.id]
        removed = set(session.scalars(select(Removal.object_key)))
        assert removed == {alone.object_key, *(face.chip_key for face in mine)}
        last = log.entries(session, gallery, generation, head - 2, 10)
        assert [(e.operation, e.vector) for e in last] == [("remove", None), ("remove", None)]


def test_erasing_a_person_takes_photos_along_that_were_sent_as_theirs_and_show_no_face(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana, ben = (people.ensure(session, rows.gallery(session).id, name) for name in ("Ana", "Ben"))
        job = rows.job(session)
        refused, of_both, of_ben = (rows.photo(session, content) for content in ("refused", "of both", "Ben's"))
        for photo, whose in ((refused, [ana]), (of_both, [ana, ben]), (of_ben, [ana])):
            photo.state = "rejected"
            for person in whose:
                jobs.add_item(session, job, "a.jpg", photo=photo, person=person, state="rejected")
        rows.face(session, of_ben, ben)

    with catalog.transaction() as session:
        people.delete(session, people.by_name(session, rows.gallery(session).id, "Ana")[0])

    with catalog.reading() as session:
        assert set(session.scalars(select(Photo.source_name))) == {"of both.jpg", "Ben's.jpg"}


def test_a_face_kept_as_a_box_cannot_be_assigned(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana = people.ensure(session, rows.gallery(session).id, "Ana")
        face = rows.face(session, rows.photo(session, "a"), None)
        face.chip_key = None
        session.flush()
        with pytest.raises(Conflict, match="Import its photo again"):
            faces.assign(session, face, ana)


def test_a_page_shows_how_many_faces_a_person_has(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        ana = people.ensure(session, gallery, "Ana")
        first = rows.face(session, rows.photo(session, "a"), ana)
        rows.face(session, rows.photo(session, "b"), ana)

    with catalog.reading() as session:
        [row] = listing.page(session, gallery)
        assert (row.faces, row.face_id) == (2, first.public_id)
        assert session.scalar(select(func.count()).select_from(Face)) == 2


def _merge(session: Session, source: Person, into: Person) -> int:
    return merges.merge(session, source, into, by="test").head


@pytest.mark.parametrize("gone", [_merge, people.delete])
def test_who_goes_waits_for_a_row_that_is_being_written_of_a_face_of_theirs(
    catalog: Catalog, gone: Callable[..., int]
) -> None:
    """A rebuild writes a face of theirs in a round of its own, under the photo's lock, after they were locked and before they go."""
    if catalog.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        ana, anna = people.ensure(session, gallery, "Ana"), people.ensure(session, gallery, "Anna")
        face = rows.face(session, rows.photo(session, "a"), anna)
    ends: list[object] = []

    def go() -> None:
        try:
            with catalog.transaction() as session:
                ends.append(gone(session, session.get_one(Person, anna.id), *([ana] if gone is _merge else [])))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must say so
            ends.append(error)

    going = threading.Thread(target=go)
    with catalog.transaction() as session:
        [old] = faces.rows_of(session, face)
        going.start()
        eventually(lambda: _somebody_waits(catalog))
        session.add(copied(old, 1))
        session.flush()
    going.join(60)

    assert [type(end) for end in ends] == [int], ends
    with catalog.reading() as session:
        owners = [ana.id, ana.id] if gone is _merge else []
        assert session.scalars(select(Face.person_id)).all() == owners


def _somebody_waits(catalog: Catalog) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with catalog.reading() as session:
        return bool(session.execute(text(waiting)).scalar())
