"""People who never lived, as an import would have left them: rows, vectors, and sealed objects in the photo store.

Each person has a direction of their own, each of their faces one near it (cosine about 0.75 to each other), so that the index
has neither an easy nor an impossible time. Photos and chips are small files of noise: nothing of them is ever decoded.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr
from sqlalchemy import insert, select, update

from benchmarks.console import FAMILY, GIVEN
from benchmarks.running import Service
from services.catalog.engine import Catalog
from services.catalog.people import searchable
from services.catalog.schema import Collection, Embedding, Face, Item, Job, LogEntry, Person, Photo, Row, new_id
from services.photos import keys, sealing
from services.photos.store import PhotoStore
from services.photos.wrapping import Wrapping

FACES_EACH = 5
OBJECT_BYTES = 2048
_FIRST = 1_000_000
"""Numbers of generated rows begin here; those of real ones are below, or behind the last."""
_MARK = " Person "
_DIMENSION, _SPREAD = 512, 0.58
_PEOPLE_AT_ONCE = 500
_WRITERS, _PUTS_AT_ONCE = 2, 32
"""A put waits for the disk, not for a core: many at a time let the store write them to it together."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was generated."""

    people: int
    faces: int
    objects: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where it goes: all that a process needs that writes some of it."""

    catalog_url: str
    endpoint: str
    keys: tuple[str, str]
    wrapping_key: str
    collection: int
    model: int
    head: int
    faces_each: int


def fill(service: Service, people: int, faces_each: int) -> Counted:
    """Write *people* with *faces_each* faces each into the default collection of a running service."""
    environment = _environment(service)
    catalog = Catalog(environment["COLEGA_CATALOG_URL"])
    with catalog.reading() as session:
        collection = session.scalars(select(Collection)).one()
        assert collection.model_id is not None
        place = _Place(
            environment["COLEGA_CATALOG_URL"],
            environment["COLEGA_PHOTOS_ENDPOINT"],
            (environment["COLEGA_PHOTOS_ACCESS_KEY"], environment["COLEGA_PHOTOS_SECRET_KEY"]),
            environment["COLEGA_WRAPPING_KEYS"],
            collection.id,
            collection.model_id,
            collection.head,
            faces_each,
        )
    with catalog.transaction() as session:
        session.execute(insert(Job).values(_job(place, people * faces_each)))
    starts = range(0, people, _PEOPLE_AT_ONCE)
    with ProcessPoolExecutor(max_workers=_WRITERS) as processes:
        list(processes.map(_write, [place] * len(starts), [range(s, min(s + _PEOPLE_AT_ONCE, people)) for s in starts]))
    faces = people * faces_each
    with catalog.transaction() as session:
        session.execute(update(Collection).where(Collection.id == place.collection).values(head=place.head + faces))
    catalog.close()
    return Counted(people, faces, 2 * faces)


def is_generated(name: str) -> bool:
    """Whether a person of that name was generated; nobody real is called like that."""
    return _MARK in name


def _environment(service: Service) -> dict[str, str]:
    """What the service's own processes were given, as the kernel tells it."""
    [pid] = [pid for pid, name in service.parts() if name == "searcher"][:1]
    with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123 - a process, not a file.
        pairs = [entry.partition(b"=") for entry in file.read().split(b"\0")]
    found = {name.decode(): value.decode() for name, _, value in pairs}
    if path := found.get("COLEGA_WRAPPING_KEYS_FILE"):
        with open(path, encoding="ascii") as file:  # noqa: PTH123
            found["COLEGA_WRAPPING_KEYS"] = file.read()
    return found


def _write(place: _Place, numbers: range) -> None:
    """Write the people of these numbers: objects first, as ever, then the rows at once."""
    chance = np.random.default_rng(numbers.start)
    wraps = Wrapping.of(SecretStr(place.wrapping_key))
    assert wraps is not None
    store = PhotoStore(place.endpoint, "colega", *place.keys, read_timeout_s=30.0)
    people = [_person(place, n) for n in numbers]
    photos, faces, objects = [], [], []
    for at, person in enumerate(people):
        for of_person in range(place.faces_each):
            number = _FIRST + (numbers.start + at) * place.faces_each + of_person
            photo, face, data_key = _photo_and_face(place, number, person["id"], wraps)
            names = (str(photo["object_key"]), str(face["chip_key"]))
            objects += [(name, sealing.seal(chance.bytes(OBJECT_BYTES), data_key, name)) for name in names]
            photos.append(photo)
            faces.append(face)
    with ThreadPoolExecutor(_PUTS_AT_ONCE) as threads:
        list(threads.map(lambda named: store.put(*named), objects))
    vectors = _vectors(chance, len(people), place.faces_each)
    embeddings = [
        {"face_id": face["id"], "model_id": place.model, "vector": vector.tobytes(), "variant": "int8"}
        for face, vector in zip(faces, vectors, strict=True)
    ]
    catalog = Catalog(place.catalog_url, busy_s=120.0)
    with catalog.transaction() as session:
        for table, rows in _tables(place, people, photos, faces, embeddings):
            session.execute(insert(table), rows)
    catalog.close()


def _tables(
    place: _Place, *rows: Sequence[dict[str, object]]
) -> Iterator[tuple[type[Row], Sequence[dict[str, object]]]]:
    people, photos, faces, embeddings = rows
    yield from ((Person, people), (Photo, photos), (Face, faces), (Embedding, embeddings))
    yield (
        LogEntry,
        [
            {
                "collection_id": place.collection, "sequence": place.head + int(str(face["id"])) - _FIRST + 1,
                "operation": "add", "face_id": face["id"], "person_id": face["person_id"],
            }
            for face in faces
        ],
    )  # fmt: skip
    yield (
        Item,
        [
            {
                "id": face["id"], "job_id": _FIRST, "photo_id": face["photo_id"], "person_id": face["person_id"],
                "labelled": True, "name": photo["source_name"], "state": "done", "faces": 1,
            }
            for photo, face in zip(photos, faces, strict=True)
        ],
    )  # fmt: skip


def _job(place: _Place, photos: int) -> dict[str, object]:
    return {
        "id": _FIRST, "public_id": new_id("job"), "collection_id": place.collection, "kind": "import",
        "source": "generated", "queue": "bulk", "expected": photos, "closed": True, "announced": True,
    }  # fmt: skip


def _person(place: _Place, n: int) -> dict[str, object]:
    name = f"{GIVEN[n % len(GIVEN)]} {FAMILY[n // len(GIVEN) % len(FAMILY)]}{_MARK}{n}"
    return {
        "id": _FIRST + n, "public_id": new_id("per"), "collection_id": place.collection, "name": name,
        "search_name": searchable(name), "attributes": {"department": f"D{n % 40}"},
    }  # fmt: skip


def _photo_and_face(
    place: _Place, number: int, person: object, wraps: Wrapping
) -> tuple[dict[str, object], dict[str, object], bytes]:
    photo_id, face_id, data_key = new_id("pho"), new_id("fac"), sealing.new_key()
    photo = {
        "id": number, "public_id": photo_id, "collection_id": place.collection, "sha256": f"{number:064x}",
        "size_bytes": OBJECT_BYTES, "format": "jpeg", "source_name": f"{number}.jpg",
        "object_key": keys.photo(place.collection, photo_id), "state": "done", "width_px": 250, "height_px": 250,
        "sealed_key": wraps.wrap(data_key, photo_id),
    }  # fmt: skip
    face = {
        "id": number, "public_id": face_id, "collection_id": place.collection, "photo_id": number,
        "person_id": person, "assigned_by": "import", "rule": "mtcnn-1", "box": [60.5, 60.5, 120.0, 130.0], "score": 0.99,
        "landmarks": [[90.0, 100.0], [150.0, 100.0], [120.0, 130.0], [95.0, 160.0], [145.0, 160.0]],
        "quality": {"value": 0.8}, "chip_key": keys.chip(place.collection, face_id),
        "chip_map": [[1.5, 0.0, -60.0], [0.0, 1.5, -60.0]],
    }  # fmt: skip
    return photo, face, data_key


def _vectors(chance: np.random.Generator, people: int, faces_each: int) -> NDArray[np.float16]:
    """(people * faces_each, 512) float16 of norm 1, those of one person near each other."""
    centres = _unit(chance.standard_normal((people, 1, _DIMENSION)))
    around = _unit(chance.standard_normal((people, faces_each, _DIMENSION)))
    return _unit(centres + _SPREAD * around).reshape(-1, _DIMENSION).astype(np.float16)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms: NDArray[np.float64] = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / norms
