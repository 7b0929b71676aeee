"""Generations: complete before anybody looks in them, complete as long as they are live, gone when nobody needs them."""

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from services.catalog import collections, faces, generations, listing, log, people, photos
from services.catalog.engine import Catalog
from services.catalog.generations import Proof
from services.catalog.reviewing import merges
from services.catalog.schema import Collection, Embedding, Face, Generation, LogEntry, Removal, new_id
from services.catalog.tables.rebuild import Finding, Rebuild
from services.errors import Conflict, NotFound
from tests.integration.catalog import rows
from tests.integration.catalog.building import build


class Gallery:
    """Ana's two photos and one that nobody has named, under a first model; and a second model."""

    def __init__(self, session: Session) -> None:
        self.one, self.two = rows.model(session), rows.model(session)
        self.first = rows.generation(session, self.one)
        self.id = self.first.collection_id
        self.ana = people.ensure(session, self.id, "Ana")
        self.photos = [rows.photo(session, content) for content in "abc"]
        self.hers = [rows.face(session, photo, self.ana, embedded_by=self.one) for photo in self.photos[:2]]
        self.nobodys = rows.face(session, self.photos[2], None, embedded_by=self.one)

    def rebuilt(self, session: Session, *, anew: bool) -> Generation:
        """Complete under the second model; *anew*: in a round of its own."""
        made = self.begun(session, anew=anew)
        build(session, made)
        generations.prepare(session, made)
        return made

    def begun(self, session: Session, *, anew: bool) -> Generation:
        """Begun, with nothing in it."""
        round_ = generations.next_round(session, self.id) if anew else 0
        return generations.begin(session, self.id, self.two.id, None, round_=round_)


@pytest.fixture(params=["chips", "photos"])
def anew(request: pytest.FixtureRequest) -> bool:
    """Whether a rebuild is a new round of detection."""
    return bool(request.param == "photos")


def _operations(session: Session, collection_id: int) -> list[tuple[str, int]]:
    wanted = select(LogEntry.operation, LogEntry.face_id).where(LogEntry.collection_id == collection_id)
    return [(row.operation, row.face_id) for row in session.execute(wanted.order_by(LogEntry.sequence))]


def test_an_empty_collection_has_one_generation_and_takes_another_in_its_place(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        one, two = rows.model(session), rows.model(session)
        first = rows.generation(session, one)
        collection = rows.gallery(session)
        assert generations.first(session, collection, one.id, None).id == first.id
        second = generations.first(session, collection, two.id, None)

    with catalog.reading() as session:
        collection = rows.gallery(session)
        assert second.id > first.id
        assert (collection.generation_id, collection.model_id, collection.live) == (second.id, two.id, [second.id])
        assert session.scalars(select(Generation.id)).all() == [second.id]


def test_a_number_is_not_given_to_a_second_generation(catalog: Catalog) -> None:
    """Snapshots are kept by them."""
    with catalog.transaction() as session:
        first = rows.generation(session, rows.model(session))
        session.execute(delete(Generation))
        second = generations.first(session, rows.gallery(session), rows.model(session).id, None)

    assert second.id > first.id


def test_a_new_generation_is_live_at_once_and_is_searched_only_when_it_is_complete(
    catalog: Catalog, anew: bool
) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.begun(session, anew=anew)
        assert [g.id for g in generations.live_of(session, gallery.id)] == [gallery.first.id, made.id]
        with pytest.raises(Conflict, match="kept ready"), session.begin_nested():
            generations.switch(session, made)
        with pytest.raises(Conflict, match="is not complete"), session.begin_nested():
            generations.prepare(session, made)
        build(session, made, at_most=2)
        assert not generations.prove(session, made).holds
        build(session, made)
        head = generations.prepare(session, made)
        assert generations.switch(session, made) == head + 1

    with catalog.reading() as session:
        collection = rows.gallery(session)
        assert (collection.generation_id, collection.model_id) == (made.id, gallery.two.id)
        assert (collection.round, collection.live) == (made.round, [gallery.first.id, made.id])
        assert _operations(session, gallery.id)[-2:] == [("prepare", made.id), ("switch", made.id)]


def test_what_was_active_is_kept_complete_and_taken_back_at_once(catalog: Catalog, anew: bool) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        generations.switch(session, gallery.rebuilt(session, anew=anew))
        generations.switch(session, gallery.first)

    with catalog.reading() as session:
        assert rows.gallery(session).generation_id == gallery.first.id


def test_the_proof_counts_what_lacks_and_what_is_too_many(catalog: Catalog, anew: bool) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=anew)
        assert generations.prove(session, made) == Proof(expected=3, embedded=3, excused=0, extra=0, unpaired=0)
        mine = session.scalars(select(Face).where(Face.round == made.round).order_by(Face.id)).all()
        session.execute(delete(Embedding).where(Embedding.face_id == mine[0].id, Embedding.model_id == gallery.two.id))
        mine[1].chip_key = None
        session.flush()
        proof = generations.prove(session, made)

    assert proof == Proof(expected=2, embedded=1, excused=0, extra=1, unpaired=1 if anew else 0)
    assert (proof.missing, proof.holds) == (1, False)


def test_a_face_that_a_newer_detection_lacks_keeps_it_from_being_searched(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=True)
        lost = faces.by_public_id(session, gallery.id, gallery.hers[0].public_id, made.round)
        faces.remove_rows(session, lost)
        with pytest.raises(Conflict, match="1 are left out"):
            generations.switch(session, made)


def test_a_face_that_only_the_newer_detection_has_does_not_bar_the_way_back(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=True)
        generations.switch(session, made)
        found = rows.face(session, gallery.photos[0], None, embedded_by=gallery.two)
        found.round = made.round
        session.flush()
        generations.switch(session, gallery.first)

    with catalog.reading() as session, pytest.raises(NotFound):
        faces.by_public_id(session, gallery.id, found.public_id)


@pytest.mark.parametrize("accepted", [True, False])
def test_what_is_missing_is_excused_only_where_that_was_accepted(catalog: Catalog, accepted: bool) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.begun(session, anew=False)
        build(session, made, at_most=2)
        rebuild = Rebuild(
            public_id=new_id("reb"),
            collection_id=gallery.id,
            model_id=gallery.two.id,
            from_generation=gallery.first.id,
            generation_id=made.id,
            state="embedding",
            parameters={"skip_missing": accepted},
        )
        session.add(rebuild)
        session.flush()
        session.add(Finding(rebuild_id=rebuild.id, kind="missing", face_id=gallery.nobodys.public_id))
        session.flush()
        proof = generations.prove(session, made)

    assert (proof.expected, proof.embedded, proof.excused, proof.holds) == (3, 2, int(accepted), accepted)


def test_one_model_and_round_is_made_once_at_a_time(catalog: Catalog, anew: bool) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=anew)
        with pytest.raises(Conflict, match="there already"):
            generations.begin(session, gallery.id, gallery.two.id, None, round_=made.round)
        generations.drop(session, made)
        with pytest.raises(Conflict, match="being removed"):
            generations.begin(session, gallery.id, gallery.two.id, None, round_=made.round)
        three = rows.model(session)
        if anew:  # A round that is being removed takes nothing new.
            with pytest.raises(Conflict, match="being removed"):
                generations.begin(session, gallery.id, three.id, None, round_=made.round)
        else:
            generations.begin(session, gallery.id, three.id, None, round_=made.round)
        assert generations.next_round(session, gallery.id) == made.round + 1


def test_a_dropped_generation_takes_no_faces_and_cannot_be_searched(catalog: Catalog, anew: bool) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=anew)
        with pytest.raises(Conflict, match="Searches look in it"):
            generations.drop(session, gallery.first)
        generations.drop(session, made)

        assert [g.id for g in generations.live_of(session, gallery.id)] == [gallery.first.id]
        with pytest.raises(Conflict, match="kept ready"):
            generations.switch(session, made)


def test_only_the_active_round_is_shown(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=True)
        generations.switch(session, made)

    with catalog.reading() as session:
        photo, ana = gallery.photos[0], gallery.ana
        [shown] = photos.faces_of(session, photo)
        assert (shown.public_id, shown.round) == (gallery.hers[0].public_id, made.round)
        assert faces.by_public_id(session, gallery.id, shown.public_id).id == shown.id
        assert faces.by_public_id(session, gallery.id, shown.public_id, 0).id == gallery.hers[0].id
        assert collections.counts(session, gallery.id) == {"people": 1, "photos": 3, "faces": 3}
        assert collections.enrolled(session, gallery.id) == 1
        assert faces.count_unassigned(session, gallery.id) == 1
        assert [face.round for face, _ in faces.unassigned(session, gallery.id, limit=9)] == [made.round]
        [row] = listing.page(session, gallery.id)
        assert (row.faces, row.face_id) == (2, gallery.hers[0].public_id) == people.row_of(session, ana)[1:]
        assert {face.round for face, _ in people.faces_of(session, ana)} == {made.round}


def test_whose_a_face_is_and_that_it_is_gone_holds_in_every_round(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=True)
        chips = {face.public_id: face.chip_key for face in (*gallery.hers, gallery.nobodys)}
        before = len(_operations(session, gallery.id))

        ben = people.ensure(session, gallery.id, "Ben")
        faces.assign(session, faces.by_public_id(session, gallery.id, gallery.nobodys.public_id), ben)
        merges.merge(session, ben, into=gallery.ana, by="test")
        assert set(session.scalars(select(Face.person_id))) == {gallery.ana.id}

        faces.delete(session, faces.by_public_id(session, gallery.id, gallery.nobodys.public_id))
        assert session.scalars(select(Removal.object_key)).all() == [chips[gallery.nobodys.public_id]]
        people.delete(session, gallery.ana)

        assert session.scalars(select(Face.id)).all() == []
        assert session.scalars(select(Embedding.face_id)).all() == []
        assert set(chips.values()) < set(session.scalars(select(Removal.object_key)))
        operations = [operation for operation, _ in _operations(session, gallery.id)[before:]]
        assert operations == ["assign"] * 4 + ["remove"] * 6
        assert generations.prove(session, made).holds


def test_a_chip_stays_as_long_as_a_row_uses_it(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.rebuilt(session, anew=True)
        [old, new] = faces.rows_of(session, gallery.nobodys)
        faces.remove_rows(session, old)
        assert session.scalars(select(Removal.object_key)).all() == []
        new.chip_key = f"{new.chip_key}-again"
        session.flush()
        faces.remove_rows(session, new)

        assert session.scalars(select(Removal.object_key)).all() == [f"{gallery.nobodys.chip_key}-again"]
        assert made.round != 0


def test_what_is_logged_says_which_generations_a_face_must_be_in(catalog: Catalog) -> None:
    with catalog.transaction() as session:
        gallery = Gallery(session)
        made = gallery.begun(session, anew=False)
        assert log.append(session, gallery.id, []).live == (gallery.first.id, made.id)
        generations.drop(session, made)
        assert log.append(session, gallery.id, []).live == (gallery.first.id,)
        assert session.get_one(Collection, gallery.id).live == [gallery.first.id]
