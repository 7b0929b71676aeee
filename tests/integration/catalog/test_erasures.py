"""The ledger of erasures, on both databases: what it has, what is due, and doing the same to a catalog out of a backup."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from services.catalog import faces, people, photos, requests
from services.catalog.engine import Catalog
from services.catalog.erasing import erasures, ledger, nobodys, rewriting, traces
from services.catalog.erasing.erasures import Entry, Pressing
from services.catalog.erasing.ledger import Asking
from services.catalog.importing import jobs
from services.catalog.reviewing import merges
from services.catalog.schema import ApiKey, Collection, Face, Item, Job, Person, Photo, new_id, now
from services.catalog.tables.console import Merge
from services.catalog.tables.privacy import Erasure
from services.catalog.tables.request import Request
from services.errors import NotFound
from tests.integration.catalog import rows

pytestmark = pytest.mark.slow


def _somebody(session: Session, name: str, *contents: str) -> tuple[Person, list[Face], list[Photo]]:
    person = people.ensure(session, rows.gallery(session).id, name)
    shown = [rows.photo(session, content) for content in contents]
    return person, [rows.face(session, photo, person) for photo in shown], shown


def _kept(catalog: Catalog) -> list[Entry]:
    """The ledger as it is written down elsewhere."""
    with catalog.reading() as session:
        found = session.scalars(select(Erasure).order_by(Erasure.id)).all()
    return [Entry.of_json(json.loads(json.dumps(Entry.of(row).to_json()))) for row in found]


def test_who_is_erased_is_in_the_ledger_with_all_that_went(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana, hers, shown = _somebody(session, "Ana", "one", "two")
        entry = people.erase(session, ana, Asking("withdrawn", by="key_1", within_s=3600))
        head = session.scalar(select(Collection.head).where(Collection.id == ana.collection_id))

    with catalog.reading() as session:
        kept = erasures.by_public_id(session, ana.collection_id, entry.public_id)
        assert (kept.person, kept.faces, kept.photos) == (
            ana.public_id,
            [each.public_id for each in hers],
            [each.public_id for each in shown],
        )
        assert (kept.sequence, kept.cause, kept.asked_by) == (head, "withdrawn", "key_1")
        assert kept.due_at - kept.asked_at == pytest.approx(3600)
        assert "Ana" not in json.dumps(Entry.of(kept).to_json())
        assert not any(erasures.left_in_rows(session, kept))


def test_with_a_photo_go_the_faces_of_nobody_in_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana, hers, [photo] = _somebody(session, "Ana", "one")
        found = [hers[0].public_id, rows.face(session, photo, None).public_id]
        assert people.erase(session, ana).faces == found


def test_photos_and_faces_that_are_deleted_are_in_it_too(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        _, [face, _], [_, photo] = _somebody(session, "Ana", "one", "two")
        loose = rows.face(session, rows.photo(session, "three"), None)
        faces.delete(session, face)
        photos.delete(session, photo)
        nobodys.delete(session, photo.collection_id, [loose])

    with catalog.reading() as session:
        found = erasures.page(session, photo.collection_id)
        assert [(row.person, len(row.faces), len(row.photos)) for row in found] == [
            (None, 1, 0),
            (None, 1, 1),
            (None, 1, 0),
        ]


def test_what_is_undone_is_not_in_the_ledger(catalog: Catalog) -> None:
    with pytest.raises(RuntimeError), catalog.transaction() as session:
        people.delete(session, _somebody(session, "Ana", "one")[0])
        raise RuntimeError

    with catalog.reading() as session:
        assert erasures.counts(session) == (0, 0)


def test_it_is_pressing_when_a_quarter_of_the_time_is_over_or_somebody_waits(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = rows.gallery(session)
        first = people.erase(session, _somebody(session, "Ana", "one")[0])
        second = people.erase(session, _somebody(session, "Ben", "two")[0])
    with catalog.transaction() as session:
        assert (erasures.pressing(session), erasures.due(session)) == ({}, [])
        earlier = {"asked_at": Erasure.asked_at - 21_601, "due_at": Erasure.due_at - 21_601}
        session.execute(update(Erasure).where(Erasure.id == first.id).values(**earlier))
        session.flush()
        assert erasures.pressing(session) == {gallery.id: Pressing(gallery.epoch, first.sequence)}
        erasures.hasten(session, session.get_one(Erasure, second.id))
        assert erasures.pressing(session) == {gallery.id: Pressing(gallery.epoch, second.sequence)}
        assert [row.id for row in erasures.due(session)] == [second.id, first.id]
        erasures.look(session, first, {"objects": {"left": "One.", "since": None}}, closed=False)
        assert [row.id for row in erasures.due(session, looked_s=60)] == [second.id]
        erasures.look(session, second, {}, closed=True)
        assert ledger.last(session, gallery.id) == second.sequence
        assert erasures.counts(session) == (1, 0)
        session.execute(update(Erasure).values(due_at=1.0))
        assert [row.id for row in erasures.overdue(session)] == [first.id]


def test_of_another_history_nothing_made_in_this_one_has_to_go(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana = _somebody(session, "Ana", "one")[0]
        people.erase(session, ana, Asking(urgent=True))
        session.execute(update(Collection).values(epoch="another"))
        session.flush()
        assert erasures.pressing(session) == {ana.collection_id: Pressing("another", 0)}


def test_a_replay_erases_from_a_backup_whom_the_ledger_names_and_nobody_else(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana, hers, shown = _somebody(session, "Ana", "one", "two")
        ben, his, _ = _somebody(session, "Ben", "three")
        entry = Entry("era_1", ana.public_id, [], [each.public_id for each in hers], [shown[0].public_id], "asked", 1.0)
        # In the backup one of her faces is taken for Ben's, and another photo shows both.
        faces.assign(session, hers[1], ben)
    with catalog.transaction() as session:
        assert erasures.replay(session, [entry]) == 1
    with catalog.transaction() as session:
        assert erasures.replay(session, [entry]) == 0
        assert [person.name for person in session.scalars(select(Person))] == ["Ben"]
        assert [face.public_id for face in session.scalars(select(Face))] == [each.public_id for each in his]
        again, _, _ = _somebody(session, "Ana", "one")  # The same person, the same photo: enrolled anew.
        assert erasures.replay(session, [entry, *_kept(catalog)]) == 0
        assert session.get(Person, again.id) is not None
    assert {entry.cause for entry in _kept(catalog)} == {"replayed"}


def test_a_replay_erases_who_had_been_merged_into_them_however_long_ago(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        (ana, hers, _), (anna, also_hers, _) = _somebody(session, "Ana", "one"), _somebody(session, "Anna", "two")
        ids = ana.public_id, anna.public_id
        found = [each.public_id for each in (*hers, *also_hers)]
        merge = merges.merge(session, anna, ana, by="test").merge
        session.execute(update(Merge).values(created_at=now() - merges.UNDONE_WITHIN_S - 60))
        merges.prune(session)
        session.expire_all()
        kept = session.scalars(select(Merge)).one()
        assert (kept.gone, kept.person, kept.faces) == (ids[1], None, [])
        with pytest.raises(NotFound):
            merges.undo(session, ana.collection_id, merge)
    with catalog.transaction() as session:
        entry = Entry.of(people.erase(session, people.by_public_id(session, ana.collection_id, ids[0])))
        assert (entry.person, entry.merged, sorted(entry.faces)) == (ids[0], [ids[1]], sorted(found))
        assert session.scalars(select(Merge)).all() == []
    with catalog.transaction() as session:  # A backup from before the merge, in which she has a photo that went since.
        _somebody(session, "Anna", "three")[0].public_id = ids[1]
        session.flush()
        assert erasures.replay(session, [entry]) == 1
        assert session.scalars(select(Person)).all() == []


def test_who_had_a_face_of_theirs_in_the_backup_is_not_erased_with_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ben, [his], [photo] = _somebody(session, "Ben", "one")  # It was found to be hers since, and she was erased.
        entry = Entry("era_1", "per_gone", [], [his.public_id], [photo.public_id], "asked", 1.0)
        assert erasures.replay(session, [entry]) == 1
        assert session.scalars(select(Face)).all() == []
        assert session.get(Person, ben.id) is not None


def test_a_merge_that_was_undone_is_nothing_that_is_left_of_who_is_erased(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        ana, anna = (_somebody(session, name, name)[0] for name in ("Ana", "Anna"))
        gallery = ana.collection_id
        back = merges.undo(session, gallery, merges.merge(session, anna, ana, by="test").merge).person
        entry = people.erase(session, back)
        assert not any(erasures.left_in_rows(session, entry))


def test_names_of_files_are_forgotten_and_the_jobs_with_nothing_else(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        job, other = rows.job(session), rows.job(session)
        job.source = other.source = "/photos/Ana Araujo"
        ana = people.ensure(session, job.collection_id, "Ana")
        hers = [jobs.add_item(session, each, "Ana Araujo.jpg", person=ana) for each in (job, other)]
        jobs.add_item(session, other, "Ben.jpg")
        hers[0].detail = "Ana Araujo.jpg has no face."
        session.flush()
        people.erase(session, ana)

    with catalog.reading() as session:
        names = session.execute(select(Item.name, Item.detail).order_by(Item.id)).all()
        assert names == [(traces.FORGOTTEN, None), (traces.FORGOTTEN, None), ("Ben.jpg", None)]
        assert session.scalars(select(Job.source).order_by(Job.id)).all() == [traces.FORGOTTEN, "/photos/Ana Araujo"]


def test_while_an_archive_is_unpacked_names_wait(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        job = rows.job(session)
        job.archive, job.closed = True, False
        ana = people.ensure(session, job.collection_id, "Ana")
        jobs.add_item(session, job, "Ana.jpg", person=ana)
        people.erase(session, ana)
        assert session.scalars(select(Item.name)).all() == ["Ana.jpg"]
        job.closed = True
        session.flush()
        traces.forget_late(session)
        assert session.scalars(select(Item.name)).all() == [traces.FORGOTTEN]


def test_answers_that_name_somebody_are_forgotten_and_others_not(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        key = ApiKey(public_id=new_id("key"), name="test", sha256="x", scopes=["enrol"])
        session.add(key)
        session.flush()
        for number, person in enumerate(("per_a1", "per_b2")):
            requests.begin(session, key.id, f"k{number}", "f", by="test")
            requests.finish(session, key.id, f"k{number}", 201, {"id": person, "name": "Zoë"})
        assert traces.forget_answers(session, ["per_a1", "pho_1"]) == 1

    with catalog.reading() as session:
        kept: list[Any] = list(session.scalars(select(Request.answer).order_by(Request.idempotency_key)))
        assert kept == [{"erased": True}, {"id": "per_b2", "name": "Zoë"}]


def test_a_rewritten_catalog_holds_what_it_held(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        _somebody(session, "Ben", "two")
        people.erase(session, _somebody(session, "Ana Araujo", "one")[0])

    rewritten = rewriting.rewrite(catalog, before=0.0)

    assert rewritten == ("", True)
    with catalog.reading() as session:
        assert session.scalars(select(Person.name)).all() == ["Ben"]
    if catalog.is_sqlite:
        assert catalog.url.database is not None
        with open(catalog.url.database, "rb") as file:  # noqa: PTH123
            assert b"Araujo" not in file.read()


def test_a_transaction_from_before_keeps_deleted_rows_in_the_database(catalog: Catalog) -> None:
    if catalog.is_sqlite:
        pytest.skip("SQLite overwrites deleted rows at once")
    with catalog.reading() as open_one:
        open_one.execute(select(Person.id))
        with catalog.reading() as session:
            at = session.scalar(select(now()))
        assert at is not None
        assert rewriting.rewrite(catalog, before=at).left.startswith("A transaction from before")
    assert rewriting.rewrite(catalog, before=at).left == ""
