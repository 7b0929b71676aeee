"""The same migrations on both databases give the schema that the code is written for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, PrimaryKeyConstraint, UniqueConstraint, select, text

from services.catalog import (
    calibrations,
    collections,
    faces,
    generations,
    listing,
    log,
)
from services.catalog.engine import Catalog
from services.catalog.migrate import is_current, migrate
from services.catalog.people import searchable
from services.catalog.schema import Collection, Face, Generation
from services.catalog.tables.every import METADATA


def test_migrating_twice_is_fine(catalog: Catalog) -> None:
    migrate(catalog)

    assert is_current(catalog)
    with catalog.reading() as session:
        assert [c.name for c in collections.all_of(session)] == [collections.DEFAULT]


def test_the_migrations_give_the_tables_of_the_schema(catalog: Catalog) -> None:
    with catalog.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": False})
        differences = compare_metadata(context, METADATA)

    assert differences == []


def test_what_an_erasure_follows_has_an_index() -> None:
    """Without one, a database looks through all of a table for each row that is erased."""
    erased = {METADATA.tables[name] for name in ("people", "photos", "faces")}
    followed = [key for table in METADATA.sorted_tables for key in table.foreign_keys if key.column.table in erased]
    assert "job_items.person_id" in {str(key.parent) for key in followed}
    for key in followed:
        table = key.parent.table
        unique = [each for each in table.constraints if isinstance(each, PrimaryKeyConstraint | UniqueConstraint)]
        led = [next(iter(each.columns)) for each in (*table.indexes, *unique)]
        assert key.parent in led, f"{key.parent} leads no index"


def test_an_unmigrated_catalog_is_not_current(catalog_url: str) -> None:
    catalog = Catalog(catalog_url)

    assert not is_current(catalog)
    catalog.close()


FACES = 30


@pytest.fixture
def before_generations(catalog_url: str) -> Iterator[Catalog]:
    """A catalog at revision 0002: a gallery with faces, one that has no model yet, and one with a detector of its own."""
    catalog = Catalog(catalog_url)
    with catalog.engine.connect().execution_options(colega_writes=True) as connection:
        _upgrade(connection, "0002")
        tables = MetaData()
        tables.reflect(connection)
        for name, rows in _rows_of_0002().items():
            connection.execute(tables.tables[name].insert(), rows)
        if not catalog.is_sqlite:  # Numbers were given by hand.
            for name in ("collections", "models", "people", "photos", "faces", "calibrations"):
                connection.execute(text(f"SELECT setval('{name}_id_seq', 1000)"))
        connection.commit()
    yield catalog
    catalog.close()


def test_a_catalog_of_before_generations_keeps_every_row(before_generations: Catalog) -> None:
    catalog = before_generations
    kept = ("models", "people", "photos", "faces", "embeddings", "log", "jobs", "job_items", "computations")
    counted = _counts(catalog, kept)

    migrate(catalog)

    assert is_current(catalog)
    assert _counts(catalog, kept) == counted
    with catalog.transaction() as session:
        if catalog.is_sqlite:
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []
            assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
        staff, bare, own = (collections.by_name(session, name) for name in ("staff", "bare", "own"))
        made = {g.collection_id: g for g in session.scalars(select(Generation))}
        assert set(made) == {staff.id, own.id}
        assert (made[staff.id].model_id, made[staff.id].detector_id, made[own.id].detector_id) == (1, None, 3)
        for collection in (staff, own):
            mine = made[collection.id]
            assert (collection.generation_id, collection.live, collection.round) == (mine.id, [mine.id], 0)
            assert generations.prove(session, mine).holds
        assert (bare.generation_id, bare.live) == (None, [])
        calibration = calibrations.of(session, made[staff.id].id)
        assert calibration is not None
        assert calibration.curves == {"of": "staff"}
        [rows] = log.faces(session, staff.id, made[staff.id].id)
        assert (rows.face_ids, rows.vectors[6]) == (tuple(range(1, FACES + 1)), b"vector 7")
        [shown] = listing.page(session, staff.id)
        assert shown.faces == FACES
        again = faces.by_public_id(session, staff.id, "fac_7")
        faces.delete(session, again)
        assert generations.prove(session, made[staff.id]).expected == FACES - 1


def test_a_catalog_that_was_migrated_takes_new_rows(before_generations: Catalog) -> None:
    """Numbers go on where they were, and a face may have a row in another round."""
    migrate(before_generations)

    with before_generations.transaction() as session:
        staff = collections.by_name(session, "staff")
        made = generations.begin(session, staff.id, 2, None, round_=generations.next_round(session, staff.id))
        old = faces.by_public_id(session, staff.id, "fac_7")
        copy = Face(
            public_id=old.public_id,
            collection_id=old.collection_id,
            photo_id=old.photo_id,
            round=made.round,
            rule="other",
            box=[0, 0, 1, 1],
            score=1.0,
        )
        session.add(copy)
        session.flush()
        assert copy.id > FACES
        assert session.get_one(Collection, staff.id).live == [staff.generation_id, made.id]


def test_names_of_before_are_found_in_their_plain_form(before_generations: Catalog) -> None:
    with before_generations.engine.connect().execution_options(colega_writes=True) as connection:
        named = {"name": "Łukasz Sørensen", "search_name": "łukasz sørensen"}
        connection.execute(text("UPDATE people SET name = :name, search_name = :search_name WHERE id = 1"), named)
        connection.commit()

    migrate(before_generations)

    with before_generations.reading() as session:
        staff = collections.by_name(session, "staff")
        [found] = listing.page(session, staff.id, query="sorensen lukasz")
        assert found.person.search_name == searchable("Łukasz Sørensen")


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(collections.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _counts(catalog: Catalog, tables: tuple[str, ...]) -> dict[str, int]:
    with catalog.reading() as session:
        return {name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}


def _rows_of_0002() -> dict[str, list[dict[str, Any]]]:
    """By table, in an order that foreign keys allow."""
    at = {"created_at": 1.0}
    gallery = {**at, "epoch": "e", "head": FACES, "model_id": 1, "live_models": [1], "detector_id": None}
    nothing: dict[str, Any] = {"head": 0, "model_id": None, "live_models": []}
    model = {**at, "kind": "embedder", "state": "candidate", "dimension": 4, "licence": "", "details": {}}
    person = {**at, "collection_id": 1, "name": "Ana", "search_name": "ana", "attributes": {}}
    photo = {"size_bytes": 1, "format": "JPEG", "source_name": "x", "state": "done", **at}
    face = {**at, "collection_id": 1, "person_id": 1, "rule": "r", "box": [0, 0, 1, 1], "score": 1.0}
    calibration = {**at, "sequence": 1, "people": 1, "faces": 1}
    job = {"queue": "bulk", "source": "", "faces": "largest", "archive": False, "layout": "auto", "cancelled": False}
    return {
        "models": [{**model, "id": n, "public_id": f"m{n}", "name": f"m{n}", "digest": f"d{n}"} for n in (1, 2, 3)],
        "collections": [
            {**gallery, "id": 1, "name": "staff"},
            {**gallery, **nothing, "id": 2, "name": "bare"},
            {**gallery, "id": 3, "name": "own", "head": 0, "detector_id": 3},
        ],
        "people": [{**person, "id": 1, "public_id": "per_1"}],
        "photos": [
            {**photo, "id": n, "public_id": f"pho_{n}", "collection_id": 1, "sha256": str(n), "object_key": f"p{n}"}
            for n in range(1, FACES + 1)
        ],
        "faces": [
            {**face, "id": n, "public_id": f"fac_{n}", "photo_id": n, "chip_key": f"c{n}"} for n in range(1, FACES + 1)
        ],
        "embeddings": [
            {"face_id": n, "model_id": 1, "vector": f"vector {n}".encode(), "variant": "fp32"}
            for n in range(1, FACES + 1)
        ],
        "log": [
            {**at, "collection_id": 1, "sequence": n, "operation": "add", "face_id": n, "person_id": 1}
            for n in range(1, FACES + 1)
        ],
        "calibrations": [
            {**calibration, "id": 1, "collection_id": 1, "model_id": 1, "curves": {"of": "staff"}},
            {**calibration, "id": 2, "collection_id": 1, "model_id": 2, "curves": {"of": "a model of before"}},
        ],
        "jobs": [{**job, **at, "id": 1, "public_id": "job_1", "collection_id": 1, "kind": "import", "closed": True}],
        "job_items": [
            {
                **at,
                "id": 1,
                "job_id": 1,
                "photo_id": 1,
                "person_id": 1,
                "labelled": True,
                "name": "x",
                "state": "done",
                "attempts": 1,
                "attempts_alone": 0,
            }
        ],
        "computations": [{"job_id": 1, "parameters": {}, "state": "done", "deaths": 0}],
    }
