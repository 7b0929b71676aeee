"""What a collection has enrolled, as a gallery: from catalog and photo store."""

import numpy as np
import pytest
from sqlalchemy.orm import Session

from services.catalog import people
from services.catalog.engine import Catalog
from services.catalog.schema import Item, Person
from services.errors import InvalidRequest
from services.photos.store import PhotoStore
from services.rejections import Rejection
from tests import vaults
from tests.integration.catalog import rows
from workers import collected

pytestmark = pytest.mark.slow


def test_a_gallery_is_whom_the_collection_knows_with_what_was_missed(catalog: Catalog, photo_store: PhotoStore) -> None:
    """People by name; faces of nobody and those whose chip is gone are passed over; a photo without a face counts."""
    with catalog.transaction() as session:
        gallery = rows.gallery(session).id
        bea, ana = (people.ensure(session, gallery, name) for name in ("Bea", "Ana"))
        chips = {
            name: _face(session, name, bea if name == "bea" else ana) for name in ("bea", "ana 1", "ana 2", "gone")
        }
        rows.face(session, rows.photo(session, "nobody's"), None)
        blank = _without_a_face(session, "blank", ana)
    photo_store.put_many([(key, name.encode()) for name, key in chips.items() if name != "gone"])

    found = collected.of_collection(catalog, vaults.sealed(photo_store, catalog), gallery)

    assert found.names == ["Ana", "Bea"]
    assert [(person, chip.jpeg) for person, chip in zip(found.people.tolist(), found.chips, strict=True)] == [
        (0, b"ana 1"),
        (0, b"ana 2"),
        (1, b"bea"),
    ]
    assert (found.undetected, found.undetected_people.tolist()) == ([blank], [0])
    np.testing.assert_allclose(found.chips[0].landmarks, np.full((5, 2), 12.0))
    assert len(set(found.photos)) == 3


def test_a_collection_of_nobody_is_refused(catalog: Catalog, photo_store: PhotoStore) -> None:
    """With what to do first."""
    with catalog.reading() as session:
        gallery = rows.gallery(session).id

    with pytest.raises(InvalidRequest, match="import photos with names first"):
        collected.of_collection(catalog, vaults.sealed(photo_store, catalog), gallery)


def _face(session: Session, name: str, person: Person) -> str:
    """A face with all that a crop is cut by; its chip's key."""
    face = rows.face(session, rows.photo(session, name), person)
    face.landmarks, face.chip_map = [[5.0, 5.0]] * 5, [[2.0, 0.0, 2.0], [0.0, 2.0, 2.0]]
    assert face.chip_key is not None
    return face.chip_key


def _without_a_face(session: Session, name: str, person: Person) -> str:
    """A photo that was imported for *person* and refused twice; its id."""
    photo = rows.photo(session, name)
    photo.state, photo.reason = "rejected", Rejection.NO_FACE.value
    job = rows.job(session)
    session.add_all(
        Item(job_id=job.id, photo_id=photo.id, person_id=person.id, labelled=True, name=f"{n}.jpg", state="rejected")
        for n in range(2)
    )
    return photo.public_id
