"""What a collection has enrolled, as a gallery."""

from dataclasses import replace

import numpy as np

from services.catalog import faces
from services.catalog.engine import Catalog
from services.errors import InvalidRequest
from services.vault import Vault
from workers.faces import chips
from workers.faces.values import Chip
from workers.galleries import ChipFile, Gallery, Told, untold

_AT_ONCE = 64


def of_collection(catalog: Catalog, store: Vault, collection_id: int, *, told: Told = untold) -> Gallery:
    """The faces that are somebody's, person by person, with the photos whose label nobody's face stood behind.

    A face whose chip is gone (it was erased a moment ago) is passed over. ``photos`` are public ids; a photo that was
    imported for a person and in which no face was found counts as undetected.

    Raises:
        InvalidRequest: Nobody is enrolled in the collection.
        PhotoStoreUnavailable: The store does not answer.
    """
    with catalog.reading() as session:
        enrolled = faces.enrolled(session, collection_id)
        faceless = faces.faceless(session, collection_id)
    if not enrolled:
        raise InvalidRequest("Nobody is enrolled in this collection: import photos with names first.")
    numbers: dict[int, int] = {}
    names: list[str] = []
    called = {row.person: row.name for row in enrolled} | {row.person: row.name for row in faceless}
    for person, name in sorted(called.items(), key=lambda each: (each[1], each[0])):
        numbers[person] = len(names)
        names.append(name)
    enrolled.sort(key=lambda row: (numbers[row.person], row.face))
    kept, people, photos = ChipFile(), [], []
    for start in range(0, len(enrolled), _AT_ONCE):
        some = enrolled[start : start + _AT_ONCE]
        for row, jpeg in zip(some, store.get_many([row.chip_key for row in some]), strict=True):
            if jpeg is None:
                continue
            to_chip = np.array(row.chip_map, np.float64)
            kept.append(Chip(jpeg, to_chip, chips.mapped(to_chip, np.array(row.landmarks, np.float32))))
            people.append(numbers[row.person])
            photos.append(row.photo_id)
        told(min(start + _AT_ONCE, len(enrolled)), len(enrolled))
    gallery = Gallery(kept, np.array(people, np.int64), names, photos)
    undetected = sorted((numbers[row.person], row.photo_id) for row in faceless)
    return replace(
        gallery,
        undetected=[photo for _, photo in undetected],
        undetected_people=np.array([person for person, _ in undetected], np.int64),
    )
