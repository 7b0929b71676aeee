"""What the photo store lacks of what the catalog names: listings compared, and not a question for each object."""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute

from services.catalog.engine import Catalog
from services.catalog.schema import Collection, Face, Photo
from services.photos import keys
from services.vault import Vault

Keep = Callable[[], None]
"""Called often, so that who lists for minutes can say that it is still at it."""

_PAGE = 5000


@dataclass(slots=True)
class Lost:
    """What the photo store does not have."""

    cut_again: int = 0
    """Chips that can be cut again from the raw photo."""
    faces: list[tuple[str, str | None, str]] = field(default_factory=list)
    """Photo, face and key of chips that cannot."""
    photos: list[tuple[str, str | None, str]] = field(default_factory=list)
    """Photos that are to be looked at and are not there."""

    @property
    def listed(self) -> list[tuple[str, str | None, str]]:
        """What becomes a finding."""
        return self.faces + self.photos


def lost(catalog: Catalog, store: Vault, collection: Collection, *, photos_too: bool, keep: Keep) -> Lost:
    """Which chips of the active round, and with *photos_too* which photos, the photo store does not list.

    Raises:
        Unavailable: Catalog or photo store are away.
    """
    lost, chips = Lost(), _listed(store, keys.chip(collection.id, "x")[:-1], keep)
    absent = [row for rows in _faces(catalog, collection, keep) for row in _absent(rows, chips, 2)]
    if not absent and not photos_too:
        return lost
    photos = _listed(store, keys.photo(collection.id, "x")[:-1], keep)
    gone = {row[0] for row in _absent(absent, photos, 3)}
    lost.cut_again = len(absent) - len(gone)
    lost.faces = [(photo, face, chip_key) for face, photo, chip_key, _ in absent if face in gone]
    if photos_too:
        for rows in _photos(catalog, collection, keep):
            lost.photos += [(photo_id, None, key) for photo_id, key in _absent(rows, photos, 1)]
    return lost


def _faces(catalog: Catalog, collection: Collection, keep: Keep) -> Iterator[list[tuple[str, ...]]]:
    """Faces with a chip of the active round, page by page: face, photo, chip's key, photo's key."""
    columns = (Face.id, Face.public_id, Photo.public_id, Face.chip_key, Photo.object_key)
    wanted = select(*columns).join(Photo, Photo.id == Face.photo_id)
    mine = (Face.collection_id == collection.id, Face.round == collection.round, Face.chip_key.is_not(None))
    return _pages(catalog, wanted.where(*mine), Face.id, keep)


def _photos(catalog: Catalog, collection: Collection, keep: Keep) -> Iterator[list[tuple[str, ...]]]:
    """Photos that are to be looked at, page by page: photo and its key."""
    wanted = select(Photo.id, Photo.public_id, Photo.object_key)
    return _pages(catalog, wanted.where(Photo.collection_id == collection.id, Photo.state == "done"), Photo.id, keep)


def _pages(
    catalog: Catalog, wanted: Select[*tuple[Any, ...]], number: InstrumentedAttribute[int], keep: Keep
) -> Iterator[list[tuple[str, ...]]]:
    """The rows of *wanted*, whose first column is *number*, without it; a page is a short transaction."""
    after = 0
    while True:
        keep()
        with catalog.reading() as session:
            rows = [tuple(row) for row in session.execute(wanted.where(number > after).order_by(number).limit(_PAGE))]
        if not rows:
            return
        after = rows[-1][0]
        yield [row[1:] for row in rows]


def _listed(store: Vault, prefix: str, keep: Keep) -> NDArray[np.uint64]:
    """What the photo store lists under *prefix*, as sorted hashes: eight bytes for a name of fifty."""
    found = array("Q")
    for stored in store.list(prefix):
        found.append(_hash(stored.key))
        keep()
    return np.sort(np.frombuffer(found, np.uint64))


def _absent(rows: Sequence[tuple[str, ...]], there: NDArray[np.uint64], column: int) -> list[tuple[str, ...]]:
    """Those of *rows* whose key in *column* is not *there*."""
    hashes = np.array([_hash(row[column]) for row in rows], np.uint64)
    return [row for row, is_there in zip(rows, np.isin(hashes, there), strict=True) if not is_there]


def _hash(key: str) -> int:
    """64 bits of a key. That a missing one among a hundred million looks like one that is there has a chance of 5e-12."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
