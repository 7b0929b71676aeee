"""A searcher holds what is in use, within its memory, and every replica is at the head of its log."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from index.protocol import Head
from services.catalog import faces, log
from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Face
from services.errors import NotFound
from tests.integration.galleries import Galleries
from tests.unit.index.arrays import D, FolderShelf, unit_vectors
from tests.unit.index.test_follower import damage
from tests.waiting import eventually
from workers.serving.replicas import Keeping

pytestmark = pytest.mark.slow


@pytest.fixture
def galleries(catalog: Catalog, tmp_path: Path) -> Iterator[Galleries]:
    made = Galleries(catalog, tmp_path, Keeping(memory_mb=1, snapshot_s=0.05, snapshot_faces=10))
    yield made
    made.close()


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

    replica = galleries.get(made[0])
    assert replica is not None
    assert len(replica) == 3


def test_a_collection_that_is_gone_is_said_to_be(galleries: Galleries) -> None:
    def says_so() -> bool:
        try:
            galleries.get(999)
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
    segments = galleries.root / f"{made}-g{galleries.active(made)}" / "segments"

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
    replica = galleries.get(made)

    assert replica is not None
    held = np.stack([unit_vectors(1, n)[0] for n in range(40)])
    with galleries.catalog.reading() as session:
        ids = [face for rows in log.faces(session, made, galleries.active(made)) for face in rows.face_ids]
    np.testing.assert_array_equal(replica.faces.vectors(ids), held)


def test_one_collection_that_is_large_keeps_no_other_waiting(galleries: Galleries) -> None:
    large, small = galleries.gallery("large", 5), galleries.gallery("small", 2)
    read = galleries.log.faces

    def slowly(collection: int, generation: int):  # type: ignore[no-untyped-def] # noqa: ANN202
        if collection == large:
            time.sleep(1.5)
        return read(collection, generation)

    galleries.log.faces = slowly  # type: ignore[method-assign]
    galleries.get(large)
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
        replica = galleries.get(made)
        assert replica is None or len(replica) in {5, 6}
        return replica is not None and replica.epoch == "another"

    eventually(followed)
    [row] = galleries.replicas.described(galleries.log.heads())
    assert (row["faces"], row["sequence"], row["reloads"]) == (5, 5, 1)
    assert "another history" in row["recovered"]
    assert galleries.log.heads()[made] == Head("another", 5)
