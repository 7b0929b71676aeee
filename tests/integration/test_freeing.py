"""The rows of generations that were dropped go, whenever that is interrupted, and nothing else does."""

import pytest
from sqlalchemy import select, update

from services.catalog import calibrations, faces, generations
from services.catalog.engine import Catalog
from services.catalog.schema import Calibration, Embedding, Face, Generation, Removal
from services.photos.store import PhotoStore
from tests import vaults
from tests.integration.catalog import rows
from tests.integration.catalog.building import build
from workers import freeing, upkeep

FACES = 5


@pytest.fixture(params=["chips", "photos"])
def dropped(request: pytest.FixtureRequest, catalog: Catalog) -> Generation:
    """One of two generations of a few faces; of a round of its own, some of its chips are its own too."""
    with catalog.transaction() as session:
        rows.generation(session, one := rows.model(session))
        for n in range(FACES):
            rows.face(session, rows.photo(session, str(n)), None, embedded_by=one)
        made = rows.generation(session, rows.model(session), round_=int(request.param == "photos"))
        build(session, made)
        own = update(Face).where(Face.round == 1, Face.id % 2 == 0)
        session.execute(own.values(chip_key=Face.chip_key + "-again"))
        calibrations.keep(session, made, sequence=1, people=1, faces=1, curves={})
        generations.drop(session, made)
    return made


def _left(catalog: Catalog) -> tuple[int, set[int], int]:
    """How many faces, under which models, in how many generations."""
    with catalog.reading() as session:
        held = session.scalars(select(Embedding.model_id)).all()
        return len(session.scalars(select(Face.id)).all()), set(held), len(session.scalars(select(Generation.id)).all())


def test_only_what_the_dropped_one_alone_needs_goes(catalog: Catalog, dropped: Generation) -> None:
    with catalog.reading() as session:
        first = session.get_one(Generation, rows.gallery(session).generation_id)
        own = set(session.scalars(select(Face.chip_key).where(Face.chip_key.like("%-again"))))

    assert freeing.free(catalog, for_s=60, dropped_for_s=0)

    assert _left(catalog) == (FACES, {first.model_id}, 1)
    with catalog.reading() as session:
        assert set(session.scalars(select(Removal.object_key))) == own
        assert bool(own) == (dropped.round == 1)
        assert session.scalars(select(Calibration.id)).all() == []
        assert generations.prove(session, first).holds


@pytest.mark.usefixtures("dropped")
def test_interrupted_after_every_face_it_ends_the_same(catalog: Catalog) -> None:
    steps = 1
    while not freeing.free(catalog, for_s=0, dropped_for_s=0, fewest=1):
        steps += 1

    assert steps > FACES
    assert (_left(catalog)[0], _left(catalog)[2]) == (FACES, 1)
    assert freeing.free(catalog, for_s=0, dropped_for_s=0)


@pytest.mark.usefixtures("dropped")
def test_a_face_that_was_deleted_meanwhile_is_gone_from_the_dropped_one_too(catalog: Catalog) -> None:
    freeing.free(catalog, for_s=0, dropped_for_s=0, fewest=1)
    with catalog.transaction() as session:
        last = session.scalars(select(Face).where(Face.round == 0).order_by(Face.id.desc())).first()
        assert last is not None
        faces.delete(session, last)

    assert freeing.free(catalog, for_s=60, dropped_for_s=0)

    assert _left(catalog)[0] == FACES - 1


@pytest.mark.slow
def test_upkeep_frees_and_removes_the_chips(catalog: Catalog, photo_store: PhotoStore, dropped: Generation) -> None:
    with catalog.reading() as session:
        chips = {key for key in session.scalars(select(Face.chip_key)) if key}
    photo_store.put_many([(key, b"x") for key in chips])

    upkeep.tidy(catalog, vaults.sealed(photo_store, catalog), keep_unassigned_days=30, search_s=0)

    with catalog.reading() as session:
        used = set(session.scalars(select(Face.chip_key)))
        assert session.get(Generation, dropped.id) is None
    assert {key for key in chips if photo_store.exists(key)} == used
