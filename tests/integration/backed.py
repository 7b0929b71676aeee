"""A small catalog with objects to be backed up, and what is compared afterwards."""

import secrets

from sqlalchemy.orm import Session

from services.backups.copying import Source
from services.catalog import people
from services.catalog.dumps import dumping
from services.catalog.engine import Catalog
from services.catalog.schema import Embedding, Face, Model, Person, new_id
from services.photos.store import PhotoStore
from services.vault import Vault
from tests import vaults
from tests.integration.catalog import rows

NEW_AT_EVERY_RESTORE = {"collections"}
"""Their epoch is."""


def quiet(told: object) -> None:
    """Nobody watches."""
    del told


def filled(catalog: Catalog, store: PhotoStore) -> Source:
    """Three people with two photos each, sealed, of random bytes: 18 objects."""
    vault = vaults.sealed(store, catalog)
    with catalog.transaction() as session:
        model = rows.model(session)
        rows.generation(session, model)
        for name in ("Ana", "Ben", "Eva"):
            person = people.ensure(session, rows.gallery(session).id, name, None, {"site": "Lima"})
            for number in range(2):
                enrol(session, vault, person, model, f"{name}-{number}")
    assert vault.wrapping is not None
    return Source(catalog, store, vault.wrapping)


def enrol(session: Session, vault: Vault, person: Person, model: Model, content: str) -> None:
    """A photo of that content with its objects, one face, and an embedding."""
    photo = rows.photo(session, content)
    photo.sealed_key, photo.state = vault.new_key(photo.public_id), "done"
    photo.thumbnail_key = f"thumbnails/{photo.collection_id}/{photo.public_id}"
    face = Face(
        public_id=new_id("fac"), collection_id=photo.collection_id, photo_id=photo.id, person_id=person.id, rule="test",
        box=[1.5, 2.0, 3.0, 4.25], score=0.1 + 0.2, landmarks=None, quality={"value": 1 / 3},
    )  # fmt: skip
    face.chip_key = f"chips/{photo.collection_id}/{face.public_id}"
    session.add(face)
    session.flush()
    session.add(Embedding(face_id=face.id, model_id=model.id, vector=secrets.token_bytes(4), variant="fp32"))
    for key in (photo.object_key, photo.thumbnail_key, face.chip_key):
        vault.put(key, f"{content} as {key}".encode(), of=photo)


def everything(catalog: Catalog) -> dict[str, list[bytes]]:
    """Every row that is kept, by table, but what a backup says of itself."""
    with dumping.snapshot(catalog) as snapshot:
        tables = {table.name: list(snapshot.lines(table)) for table in snapshot.tables()}
    return {name: lines for name, lines in tables.items() if name != "backups"}


def named(catalog: Catalog) -> set[str]:
    """The objects that rows name."""
    with dumping.snapshot(catalog) as snapshot:
        return {each.key for each in snapshot.objects()}
