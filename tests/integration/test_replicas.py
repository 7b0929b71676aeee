"""A searcher holds what is in use, within its memory, and every replica is at the head of its log."""

import time
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from index.engine.sealing import SealingHere
from index.protocol import Head
from services.catalog import collections, faces, log, people
from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Embedding, Face, Photo, new_id
from services.errors import NotFound
from tests.crash.following import home
from tests.integration.catalog import rows
from tests.unit.index.arrays import D, FolderShelf, unit_vectors
from tests.unit.index.test_follower import damage
from tests.waiting import eventually
from workers.following import CatalogLog
from workers.replicas import Keeping, Replicas

pytestmark = pytest.mark.slow


class Galleries:
    """A catalog with several collections, and a searcher's replicas of them."""

    def __init__(self, catalog: Catalog, root: Path, keeping: Keeping) -> None:
        self.catalog = catalog
        self.root = root
        self.log = CatalogLog(catalog)
        self.sealer = SealingHere()
        (root / "shelf").mkdir()
        with catalog.transaction() as session:
            model = rows.model(session)
            model.dimension = D
            self.model = model.id
        self.replicas = self.opened(keeping)

    def opened(self, keeping: Keeping) -> Replicas:
        """A searcher that starts."""
        return Replicas(
            self.log, lambda c, m: home(self.root / f"{c}-{m}", self.root / "shelf", sealer=self.sealer), keeping
        )

    def gallery(self, name: str, count: int = 3) -> int:
        """A new collection with some faces."""
        with self.catalog.transaction() as session:
            collection = collections.create(session, name)
            for n in range(count):
                self.face(session, collection, n)
            return collection.id

    def face(self, session: Session, collection: Collection, number: int, vector: bytes | None = None) -> int:
        """One more face of somebody."""
        person = people.ensure(session, collection.id, f"Person {number % 7}")
        public = new_id("pho")
        photo = Photo(
            public_id=public,
            collection_id=collection.id,
            sha256=public.ljust(64, "0")[:64],
            size_bytes=1,
            format="JPEG",
            source_name="x.jpg",
            object_key=public,
        )
        session.add(photo)
        session.flush()
        face = rows.face(session, photo, person)
        held = unit_vectors(1, number)[0].astype("<f2").tobytes() if vector is None else vector
        session.add(Embedding(face_id=face.id, model_id=self.model, vector=held, variant="fp32"))
        return face.id

    def use(self, collection: int) -> None:
        """Ask for it until it is there."""

        def there() -> bool:
            self.replicas.follow(self.log.heads())
            return self.replicas.get(collection, self.model) is not None

        eventually(there)

    def held(self) -> set[int]:
        """Which collections are in memory."""
        return {row["collection"] for row in self.replicas.described(self.log.heads())}


@pytest.fixture
def galleries(catalog: Catalog, tmp_path: Path) -> Galleries:
    return Galleries(catalog, tmp_path, Keeping(memory_mb=1, snapshot_s=0.05, snapshot_faces=10))


def test_what_was_not_used_for_longest_is_dropped_when_memory_is_short(galleries: Galleries) -> None:
    made = [galleries.gallery(f"c{n}") for n in range(8)]

    for collection in made:
        galleries.use(collection)
    galleries.use(made[3])

    held = galleries.held()
    assert len(held) < 6
    assert {made[3], made[7]} <= held


def test_a_collection_that_was_dropped_is_loaded_again_when_it_is_asked_for(galleries: Galleries) -> None:
    made = [galleries.gallery(f"c{n}") for n in range(8)]
    for collection in made:
        galleries.use(collection)
    assert made[0] not in galleries.held()

    galleries.use(made[0])

    replica = galleries.replicas.get(made[0], galleries.model)
    assert replica is not None
    assert len(replica) == 3


def test_a_collection_that_is_gone_is_said_to_be(galleries: Galleries) -> None:
    def says_so() -> bool:
        try:
            galleries.replicas.get(999, galleries.model)
        except NotFound:
            return True
        galleries.replicas.follow(galleries.log.heads())
        return False

    eventually(says_so)


def test_a_deleted_collection_leaves_memory(galleries: Galleries) -> None:
    gone = galleries.gallery("gone")
    galleries.use(gone)

    heads = {collection: head for collection, head in galleries.log.heads().items() if collection != gone}
    galleries.replicas.follow(heads)

    assert gone not in galleries.held()


def test_an_embedding_that_cannot_be_compared_is_passed_over_and_counted(galleries: Galleries) -> None:
    made = galleries.gallery("one bad")
    with galleries.catalog.transaction() as session:
        collection = session.get_one(Collection, made)
        for bad in (np.full(D, np.nan, "<f2"), np.zeros(D, "<f2"), np.ones(D, "<f2"), np.ones(D + 1, "<f2")):
            galleries.face(session, collection, 50, bad.tobytes())
        galleries.face(session, collection, 51, b"odd")
    galleries.use(made)
    with galleries.catalog.transaction() as session:
        galleries.face(session, session.get_one(Collection, made), 60, np.full(D, np.inf, "<f2").tobytes())
        galleries.face(session, session.get_one(Collection, made), 61)
        galleries.face(session, session.get_one(Collection, made), 62, b"odd")

    galleries.replicas.follow(galleries.log.heads())

    [row] = galleries.replicas.described(galleries.log.heads())
    assert (row["faces"], row["refused"], row["lag"]) == (4, 7, 0)


def test_damage_that_shows_after_the_start_is_found_and_mended(galleries: Galleries) -> None:
    made = galleries.gallery("large", 40)
    galleries.use(made)
    segments = galleries.root / f"{made}-{galleries.model}" / "segments"

    def written() -> bool:
        galleries.replicas.follow(galleries.log.heads())
        [row] = galleries.replicas.described(galleries.log.heads())
        return bool(row["snapshot"] and list(segments.glob("*.vectors")))

    eventually(written)
    galleries.replicas.close()
    for file in FolderShelf(galleries.root / "shelf").folder.rglob("*.vectors"):
        file.unlink()
    for file in segments.glob("*.vectors"):
        damage(file, "flipped")

    galleries.replicas = galleries.opened(Keeping(memory_mb=64, snapshot_s=600.0, snapshot_faces=10))
    galleries.use(made)
    replica = galleries.replicas.get(made, galleries.model)

    assert replica is not None
    held = np.stack([unit_vectors(1, n)[0] for n in range(40)])
    with galleries.catalog.reading() as session:
        ids = [face for rows in log.faces(session, made, galleries.model) for face in rows.face_ids]
    np.testing.assert_array_equal(replica.faces.vectors(ids), held)


def test_one_collection_that_is_large_keeps_no_other_waiting(galleries: Galleries) -> None:
    large, small = galleries.gallery("large", 5), galleries.gallery("small", 2)
    read = galleries.log.faces

    def slowly(collection: int, model: int):  # type: ignore[no-untyped-def] # noqa: ANN202
        if collection == large:
            time.sleep(1.5)
        return read(collection, model)

    galleries.log.faces = slowly  # type: ignore[method-assign]
    galleries.replicas.get(large, galleries.model)
    galleries.replicas.follow(galleries.log.heads())

    galleries.use(small)

    assert galleries.held() == {small}
    galleries.use(large)


def test_another_epoch_is_never_merged(galleries: Galleries) -> None:
    made = galleries.gallery("restored", 6)
    galleries.use(made)
    with galleries.catalog.transaction() as session:  # As a restored backup: fewer rows, lower numbers, another epoch.
        collection = session.get_one(Collection, made)
        face = session.query(Face).filter(Face.collection_id == made).order_by(Face.id).first()
        assert face is not None
        faces.remove_rows(session, face)
        collection.epoch, collection.head = "another", 5

    def followed() -> bool:
        galleries.replicas.follow(galleries.log.heads())
        replica = galleries.replicas.get(made, galleries.model)
        assert replica is None or len(replica) in {5, 6}
        return replica is not None and replica.epoch == "another"

    eventually(followed)
    [row] = galleries.replicas.described(galleries.log.heads())
    assert (row["faces"], row["sequence"], row["reloads"]) == (5, 5, 1)
    assert "another history" in row["recovered"]
    assert galleries.log.heads()[made] == Head("another", 5)
