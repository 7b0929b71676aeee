"""Photos taken in while a rebuild begins, is switched to, rolled back or dropped: their faces are in every live generation."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from services.catalog import faces, generations, people, photos
from services.catalog.engine import Catalog
from services.catalog.reviewing import merges
from services.catalog.schema import Embedding, Face, Generation, Item, Model, Person, Photo
from services.catalog.tables.rebuild import Chunk, Rebuild
from services.photos.store import PhotoStore
from tests.integration.catalog import rows
from tests.integration.catalog.building import build
from tests.integration.rebuilding import Gallery, bundles
from workers import freeing, ingestion
from workers.ingestion import Tools

pytestmark = pytest.mark.slow

MOMENTS = ["claimed", "embedded", "chips stored"]
"""Where a chunk is held: all between its claim and its commit."""


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundles ``old`` and ``new``."""
    return bundles(tmp_path_factory.mktemp("two-models"))


class Meanwhile(Gallery):
    """A gallery with another generation, and a worker that is held over a chunk."""

    def held(self, moment: str, event: Callable[[], object]) -> Tools:
        """Tools of a worker to which *event* happens when it passes *moment* for the first time."""
        waiting = [event]

        def passed(now: str) -> None:
            if now == moment and waiting:
                waiting.pop()()

        return replace(self.tools, passed=passed)

    def begun(self, kind: str) -> int:
        """A live generation of the model ``new`` with nothing in it, and a rebuild that makes it."""
        with self.catalog.transaction() as session:
            collection = rows.gallery(session)
            model = session.scalars(select(Model.id).where(Model.name == "new")).one()
            round_ = collection.round if kind == "chips" else generations.next_round(session, collection.id)
            made = generations.begin(session, collection.id, model, None, round_=round_)
            rebuild = Rebuild(
                public_id=f"reb_{made.id}",
                collection_id=collection.id,
                model_id=model,
                from_generation=collection.generation_id,
                generation_id=made.id,
                state="embedding",
            )
            session.add(rebuild)
            return made.id

    def prepared(self, kind: str) -> int:
        """As :meth:`begun`, complete."""
        made = self.begun(kind)
        with self.catalog.transaction() as session:
            generation = session.get_one(Generation, made)
            build(session, generation)
            generations.prepare(session, generation)
        return made

    def switched(self, generation: int) -> None:
        """Have searches look in it."""
        with self.catalog.transaction() as session:
            generations.switch(session, session.get_one(Generation, generation))

    def dropped(self, generation: int) -> None:
        """Have nobody look in it."""
        with self.catalog.transaction() as session:
            generations.drop(session, session.get_one(Generation, generation))

    def ingested(self, items: list[int], tools: Tools | None = None) -> list[str]:
        """Work on items until nothing is to be sent again; how they ended."""
        again = ingestion.ingest(items, tools or self.tools)
        while again:
            again = [left for item in again for left in ingestion.ingest([item], self.tools)]
        with self.catalog.reading() as session:
            return list(session.scalars(select(Item.state).where(Item.id.in_(items)).order_by(Item.id)))

    def people_of(self, round_: int) -> dict[str, str | None]:
        """Whose each face with a chip of a round is, by public id."""
        with self.catalog.reading() as session:
            found = select(Face.public_id, Person.name).outerjoin(Person, Person.id == Face.person_id)
            return dict(session.execute(found.where(Face.round == round_, Face.chip_key.is_not(None))).all())

    def shown(self) -> dict[str, str | None]:
        """As :meth:`people_of` of the round that is shown."""
        return self.people_of(self.active()[1])

    def vector_of(self, name: str, generation: int) -> int | None:
        """Of how many bytes the vector is that the one face of a person has in a generation; None without one."""
        with self.catalog.reading() as session:
            made = session.get_one(Generation, generation)
            found = (
                select(Embedding.vector)
                .join(Face, Face.id == Embedding.face_id)
                .join(Person, Person.id == Face.person_id)
                .where(Person.name == name, Face.round == made.round, Embedding.model_id == made.model_id)
            )
            vector = session.scalars(found).one_or_none()
        return None if vector is None else len(vector)

    def is_whole(self) -> None:
        """What must hold whatever happened: every live generation is complete, in every round the same faces are the same people's."""
        with self.catalog.reading() as session:
            live = generations.live_of(session, rows.gallery(session).id)
            proofs = {generation.id: generations.prove(session, generation) for generation in live}
        assert all(proof.holds for proof in proofs.values()), proofs
        assert len({tuple(sorted(self.people_of(generation.round).items())) for generation in live}) == 1

    def looks_asked_for(self) -> list[tuple[int, int]]:
        """Photos that are to be looked at again, first and last."""
        with self.catalog.reading() as session:
            return [(c.first_id, c.last_id) for c in session.scalars(select(Chunk).order_by(Chunk.id))]


@pytest.fixture
def gallery(
    catalog: Catalog, photo_store: PhotoStore, valkey: str, two_models: Path, examples: Path
) -> Iterator[Meanwhile]:
    """Two people under the model ``old``, complete whatever happens."""
    opened = Meanwhile.opened(catalog, photo_store, valkey, two_models)
    assert isinstance(opened, Meanwhile)
    opened.enrol([examples / "people" / name / "1.jpg" for name in ("Barack Obama", "Grace Hopper")])
    yield opened
    opened.is_whole()


@pytest.fixture(params=["chips", "photos"])
def kind(request: pytest.FixtureRequest) -> str:
    """What the other generation is made from."""
    return str(request.param)


@pytest.fixture
def biden(examples: Path) -> Path:
    """A photo that is taken in meanwhile."""
    return examples / "people" / "Joe Biden" / "1.jpg"


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_chunk_held_across_the_start_of_a_rebuild_is_in_what_it_makes(
    gallery: Meanwhile, biden: Path, kind: str, moment: str
) -> None:
    begun: list[int] = []
    tools = gallery.held(moment, lambda: begun.append(gallery.begun(kind)))

    assert gallery.ingested(gallery.take([biden]), tools) == ["done"]

    made = begun[0]
    assert gallery.vector_of("Joe Biden", made) == 2 * 192
    with gallery.catalog.transaction() as session:
        generation = session.get_one(Generation, made)
        assert build(session, generation) == (2 if kind == "chips" else 4)  # What was there before.
        generations.prepare(session, generation)
    gallery.switched(made)
    assert set(gallery.shown().values()) == {"Barack Obama", "Grace Hopper", "Joe Biden"}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_chunk_held_across_a_switch_and_one_across_the_way_back_are_in_both(
    gallery: Meanwhile, biden: Path, examples: Path, kind: str, moment: str
) -> None:
    first, made = gallery.active()[0], gallery.prepared(kind)
    assert first is not None

    held = gallery.held(moment, lambda: gallery.switched(made))
    assert gallery.ingested(gallery.take([biden]), held) == ["done"]
    assert (gallery.active()[0], gallery.vector_of("Joe Biden", made)) == (made, 2 * 192)
    gallery.is_whole()

    collins = examples / "people" / "Eileen Collins" / "1.jpg"
    held = gallery.held(moment, lambda: gallery.switched(first))
    assert gallery.ingested(gallery.take([collins]), held) == ["done"]
    assert (gallery.active()[0], gallery.vector_of("Eileen Collins", first)) == (first, 2 * 128)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_chunk_held_while_a_generation_is_dropped_leaves_nothing_in_it(
    gallery: Meanwhile, biden: Path, kind: str, moment: str
) -> None:
    made = gallery.prepared(kind)

    held = gallery.held(moment, lambda: gallery.dropped(made))
    assert gallery.ingested(gallery.take([biden]), held) == ["done"]

    assert gallery.vector_of("Joe Biden", made) is None
    assert freeing.free(gallery.catalog, for_s=60, dropped_for_s=0)
    with gallery.catalog.reading() as session:
        assert {len(vector) for vector in session.scalars(select(Embedding.vector))} == {2 * 128}
        assert set(session.scalars(select(Face.round))) == {0}


def test_who_commits_while_a_rebuild_begins_waits_and_writes_for_it(gallery: Meanwhile, biden: Path, kind: str) -> None:
    """The transaction that begins it is open when the chunk's is."""
    items, ends = gallery.take([biden]), list[str]()
    at_the_door, goes_in = threading.Event(), threading.Event()

    def wait() -> None:
        at_the_door.set()
        assert goes_in.wait(60)

    held = gallery.held("chips stored", wait)
    worker = threading.Thread(target=lambda: ends.extend(gallery.ingested(items, held)))
    worker.start()
    assert at_the_door.wait(60)
    with gallery.catalog.transaction() as session:
        collection = rows.gallery(session)
        model = session.scalars(select(Model.id).where(Model.name == "new")).one()
        made = generations.begin(session, collection.id, model, None, round_=0 if kind == "chips" else 1)
        goes_in.set()
    worker.join(60)

    assert ends == ["done"]
    assert gallery.vector_of("Joe Biden", made.id) == 2 * 192
    with gallery.catalog.transaction() as session:
        build(session, session.get_one(Generation, made.id))


def test_what_another_detection_has_seen_is_to_be_looked_at_again_with_each_rounds_own(
    gallery: Meanwhile, biden: Path
) -> None:
    first, made = gallery.active()[0], gallery.prepared("photos")
    assert first is not None
    gallery.ingested(gallery.take([biden]))
    with gallery.catalog.reading() as session:
        photo = session.scalars(select(Photo.id).order_by(Photo.id.desc())).first()

    assert gallery.looks_asked_for() == [(photo, photo)]

    gallery.switched(made)
    gallery.ingested(gallery.take([biden.parents[1] / "Eileen Collins" / "1.jpg"]))
    assert len(gallery.looks_asked_for()) == 1  # No rebuild made the first generation.


def test_another_model_over_the_same_faces_needs_no_second_look(gallery: Meanwhile, biden: Path) -> None:
    gallery.prepared("chips")

    gallery.ingested(gallery.take([biden]))

    assert gallery.looks_asked_for() == []


def test_a_face_of_nobody_that_is_named_by_an_import_is_named_in_every_round(
    gallery: Meanwhile, biden: Path, kind: str
) -> None:
    gallery.ingested(gallery.take([biden], labelled=False))
    made = gallery.prepared(kind)

    assert gallery.ingested(gallery.take([biden])) == ["done"]

    gallery.switched(made)
    assert sorted(filter(None, gallery.shown().values())) == ["Barack Obama", "Grace Hopper", "Joe Biden"]


def test_a_bystander_that_is_named_by_an_import_gets_chip_and_vectors_in_every_round(
    gallery: Meanwhile, examples: Path, kind: str
) -> None:
    group = examples / "queries" / "group.jpg"
    gallery.ingested(gallery.take([group], labelled=False))
    with gallery.catalog.transaction() as session:  # One box is left in the photo that is nobody's.
        [photo] = session.scalars(select(Photo).where(Photo.source_name.like("%group.jpg"))).all()
        chosen = next(face for face in photos.faces_of(session, photo) if face.chip_key is not None)
        boxes = [face for face in photos.faces_of(session, photo) if face.chip_key is None]
        assert boxes
        faces.assign(session, chosen, people.ensure(session, photo.collection_id, "Somebody"))
        for box in boxes[1:]:
            faces.delete(session, box)
    made = gallery.prepared(kind)

    assert gallery.ingested(gallery.take([group])) == ["done"]

    gallery.switched(made)
    assert gallery.shown()[boxes[0].public_id] == "queries"
    assert gallery.vector_of("queries", made) == 2 * 192


def test_a_photo_of_somebody_who_was_merged_meanwhile_shows_whom_they_were_merged_into(
    gallery: Meanwhile, biden: Path
) -> None:
    def merge() -> None:
        with gallery.catalog.transaction() as session:
            collection = rows.gallery(session).id
            [joe], [grace] = (people.by_name(session, collection, name) for name in ("Joe Biden", "Grace Hopper"))
            merges.merge(session, joe, into=grace, by="test")

    assert gallery.ingested(gallery.take([biden]), gallery.held("embedded", merge)) == ["done"]

    assert sorted(filter(None, gallery.shown().values())) == ["Barack Obama", "Grace Hopper", "Grace Hopper"]


def test_two_imports_that_name_one_face_differently_do_not_take_it_from_each_other(
    gallery: Meanwhile, biden: Path, tmp_path: Path
) -> None:
    gallery.ingested(gallery.take([biden], labelled=False))
    other = tmp_path / "Somebody Else" / "1.jpg"
    other.parent.mkdir()
    other.write_bytes(biden.read_bytes())
    items = gallery.take([other])

    held = gallery.held("embedded", lambda: gallery.ingested(gallery.take([biden])))
    assert gallery.ingested(items, held) == ["rejected"]

    assert "Joe Biden" in gallery.shown().values()
    assert "Somebody Else" not in gallery.shown().values()
