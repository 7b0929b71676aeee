"""Photos that wait: the rows that an import leaves behind, without the photos themselves."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import insert, text

from services.broker import names
from services.catalog import collections, models
from services.catalog.engine import Catalog
from services.catalog.importing import jobs
from services.catalog.people import searchable
from services.catalog.schema import Item, Person, Photo, Row, new_id
from services.photos import keys

_PHOTOS_EACH = 5
_ROWS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job of photos that nobody has worked on."""

    job: int
    items: list[int]
    """By number, in the order in which they are sent."""


def write(catalog: Catalog, name: str, photos: int) -> Waiting:
    """A new collection called *name* with so many photos of people, five each, all of them stored and none looked at."""
    with catalog.transaction() as session:
        if models.active(session, models.EMBEDDER) is None:
            digest = hashlib.sha256(b"sleeping").hexdigest()
            model = models.register(
                session, kind=models.EMBEDDER, name="sleeping", digest=digest, state="candidate", dimension=512
            )
            models.activate(session, model)
        collection = collections.create(session, name).id
        job = jobs.create(session, collection, kind="import", queue=names.BULK, source="generated", expected=photos).id
    people = _rows(catalog, Person, [_person(collection, n) for n in range(-(-photos // _PHOTOS_EACH))])
    stored = _rows(catalog, Photo, [_photo(collection, n) for n in range(photos)])
    items = [
        {"job_id": job, "photo_id": photo, "person_id": people[n // _PHOTOS_EACH], "labelled": True, "name": f"{n}.jpg"}
        for n, photo in enumerate(stored)
    ]
    waiting = Waiting(job, _rows(catalog, Item, items))
    with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return waiting


def _rows(catalog: Catalog, table: type[Row], rows: list[dict[str, object]]) -> list[int]:
    """Insert *rows*; the numbers that they got, in order."""
    numbers: list[int] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        made = insert(table).returning(table.__table__.c.id, sort_by_parameter_order=True)
        with catalog.transaction() as session:
            numbers += session.scalars(made, rows[start : start + _ROWS_AT_ONCE])
    return numbers


def _person(collection: int, n: int) -> dict[str, object]:
    name = f"Person {n}"
    return {
        "public_id": new_id("per"), "collection_id": collection, "name": name, "search_name": searchable(name),
    }  # fmt: skip


def _photo(collection: int, n: int) -> dict[str, object]:
    photo_id = new_id("pho")
    return {
        "public_id": photo_id, "collection_id": collection, "sha256": f"{n:064x}", "size_bytes": 20_000, "format": "jpeg",
        "source_name": f"{n}.jpg", "object_key": keys.photo(collection, photo_id),
    }  # fmt: skip
