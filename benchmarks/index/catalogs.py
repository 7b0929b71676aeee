"""A catalog with a whole gallery in it: people, photos, faces, embeddings, as real ones have them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import insert, update

from benchmarks.index.galleries import Gallery
from index.protocol import Half
from services.catalog import collections, generations, models
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.catalog.schema import Collection, Embedding, Face, Person, Photo, Row, new_id

_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Where the gallery is in a catalog."""

    collection: int
    generation: int
    model: int


def enrol(catalog: Catalog, held: Gallery) -> Enrolled:
    """Migrate an empty catalog and write the gallery's living faces into its default collection, a photo a person."""
    migrate(catalog)
    with catalog.transaction() as session:
        model = models.register(session, kind="embedder", name="made", digest="0" * 64, state="active", dimension=512)
        collection = collections.by_name(session, collections.DEFAULT)
        at = Enrolled(collection.id, generations.first(session, collection, model.id, None).id, model.id)
    alive = np.setdiff1d(np.arange(1, len(held) + 1), held.dead)
    people, person_of = np.unique(held.persons[alive - 1], return_inverse=True)
    numbers = range(1, len(people) + 1)
    _write(catalog, Person, (_person(at, n) for n in numbers))
    _write(catalog, Photo, (_photo(at, n) for n in numbers))
    owned = list(zip(alive.tolist(), (person_of + 1).tolist(), strict=True))
    _write(catalog, Face, (_face(at, face, person) for face, person in owned))
    _write(catalog, Embedding, (_embedding(at, face, held.vectors[face - 1].tobytes()) for face in alive.tolist()))
    with catalog.transaction() as session:
        session.execute(update(Collection).where(Collection.id == at.collection).values(head=len(alive)))
    return at


def _write(catalog: Catalog, table: type[Row], rows: Iterator[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _AT_ONCE:
            _insert(catalog, table, batch)
            batch = []
    if batch:
        _insert(catalog, table, batch)


def _insert(catalog: Catalog, table: type[Row], rows: Sequence[dict[str, Any]]) -> None:
    with catalog.transaction() as session:
        session.execute(insert(table), rows)


def _person(at: Enrolled, n: int) -> dict[str, Any]:
    name = f"Person {n}"
    return {
        "id": n, "public_id": new_id("per"), "collection_id": at.collection, "name": name, "search_name": name.lower(),
        "attributes": {},
    }  # fmt: skip


def _photo(at: Enrolled, n: int) -> dict[str, Any]:
    return {
        "id": n, "public_id": new_id("pho"), "collection_id": at.collection, "sha256": f"{n:064x}",
        "size_bytes": 20_000, "format": "jpeg", "source_name": f"{n}.jpg", "object_key": f"photos/{at.collection}/{n}",
        "state": "done", "width_px": 250, "height_px": 250,
    }  # fmt: skip


def _face(at: Enrolled, n: int, person: int) -> dict[str, Any]:
    return {
        "id": n, "public_id": new_id("fac"), "collection_id": at.collection, "photo_id": person, "person_id": person,
        "assigned_by": "import", "rule": "mtcnn", "box": [60.5, 60.5, 120.0, 130.0], "score": 0.99,
        "landmarks": [[90.0, 100.0], [150.0, 100.0], [120.0, 130.0], [95.0, 160.0], [145.0, 160.0]],
        "quality": {"value": 0.8}, "chip_key": f"chips/{at.collection}/{n}",
        "chip_map": [[1.5, 0.0, -60.0], [0.0, 1.5, -60.0]],
    }  # fmt: skip


def _embedding(at: Enrolled, face: int, vector: bytes) -> dict[str, Any]:
    return {"face_id": face, "model_id": at.model, "vector": vector, "variant": "int8"}


def enrol_many(catalog: Catalog, vectors: Half, count: int) -> list[tuple[int, int]]:
    """Migrate an empty catalog and write *vectors* into each of *count* collections, a person a face.

    Returns:
        Each collection with its generation.
    """
    migrate(catalog)
    keys: list[tuple[int, int]] = []
    with catalog.transaction() as session:
        model = models.register(session, kind="embedder", name="made", digest="0" * 64, state="active", dimension=512)
        for n in range(count):
            collection = collections.create(session, f"collection-{n}")
            assert collection.generation_id is not None  # It was made with the active model.
            collection.head = len(vectors)
            keys.append((collection.id, collection.generation_id))
    for n, key in enumerate(keys):
        at = Enrolled(*key, model.id)
        numbers = range(n * len(vectors) + 1, (n + 1) * len(vectors) + 1)
        for table, row in ((Person, _person), (Photo, _photo)):
            _write(catalog, table, (row(at, number) for number in numbers))
        _write(catalog, Face, (_face(at, number, number) for number in numbers))
        each = zip(numbers, vectors, strict=True)
        _write(catalog, Embedding, (_embedding(at, number, vector.tobytes()) for number, vector in each))
    return keys
