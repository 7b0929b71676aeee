"""Objects against rows: every row has its objects, every object a row.

Of what rows name only a number of 64 bits is held for each key, with its row and size: 80 MB at the most for a million faces.
Rows are read first and the store is listed afterwards, so what is taken in meanwhile is not missed; whatever looks wrong is
looked at once more by itself before it is called so.
"""

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from services.catalog import collections, inventory
from services.errors import MissingObject
from services.photos import keys
from services.photos.store import Stored
from services.vault import Vault
from workers import upkeep
from workers.checks import mending
from workers.checks.ledger import MENDED, Ledger, Outcome, State
from workers.checks.mending import Place

PART = "objects"
_ROWS, _OBJECTS, _STRANGERS = 4000, 1000, 500
_FOUND_ONLY = Outcome(State.LEFT)

_T = TypeVar("_T")


class Expected:
    """The keys that rows name. Filled with :meth:`add`, then held against what the store has with :meth:`meet`."""

    def __init__(self) -> None:
        self._keys, self._rows, self._sizes = array("Q"), array("q"), array("q")
        self._unique: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, row: int, size_bytes: int = -1) -> None:
        """A row names *key*; -1: any size but 0 will do."""
        self._keys.append(_number(key))
        self._rows.append(row)
        self._sizes.append(size_bytes)

    def meet(self, found: Sequence[Stored]) -> list[Stored]:
        """Note that the store has these objects. Returns those that no row names."""
        if self._unique is None:
            names = np.frombuffer(self._keys, np.uint64) if self._keys else np.zeros(0, np.uint64)
            self._unique, first, self._of_row = np.unique(names, return_index=True, return_inverse=True)
            self._size = np.array(self._sizes, np.int64)[first]
            self._met = np.zeros(len(self._unique), bool)
            self._odd = np.zeros(len(self._unique), bool)
        numbers = np.array([_number(stored.key) for stored in found], np.uint64)
        sizes = np.array([stored.size_bytes for stored in found], np.int64)
        at = np.searchsorted(self._unique, numbers)
        known = at < len(self._unique)
        known[known] = self._unique[at[known]] == numbers[known]
        at, wanted = at[known], self._size[at[known]]
        self._met[at] = True
        self._odd[at] |= np.where(wanted >= 0, sizes[known] != wanted, sizes[known] == 0)
        return [stored for stored, is_known in zip(found, known, strict=True) if not is_known]

    def missing(self) -> list[int]:
        """The rows whose object the store did not show."""
        self.meet([])
        return [int(row) for row in np.array(self._rows, np.int64)[~self._met[self._of_row]]]

    def odd(self) -> list[int]:
        """The rows whose object has no bytes, or another number of them than the row says."""
        self.meet([])
        return [int(row) for row in np.array(self._rows, np.int64)[self._odd[self._of_row]]]


def examine(place: Place, ledger: Ledger, *, nobodys: bool) -> None:
    """Hold the objects of a collection against its rows; *nobodys*: those of collections that are gone as well.

    Raises:
        Cancelled: Nobody wants the rest.
        PhotoStoreUnavailable: The store does not answer.
    """
    with place.catalog.reading() as session:
        counted = collections.counts(session, place.collection_id)
        there = {collection.id for collection in collections.all_of(session)}
    telling = _Telling(place, total=2 * (2 * counted["photos"] + counted["faces"]))
    photos, thumbnails, cut = Expected(), Expected(), Expected()
    for photo in _paged(place, inventory.photos, telling):
        photos.add(photo.object_key, photo.id, photo.size_bytes)
        if photo.thumbnail_key is not None:
            thumbnails.add(photo.thumbnail_key, photo.id)
    for face in _paged(place, inventory.chips, telling):
        cut.add(face.chip_key, face.id)
    ledger.looked_at.update({"photos": len(photos), "thumbnails": len(thumbnails), "chips": len(cut)})
    kinds = ((keys.PHOTOS, inventory.PHOTO, photos), (keys.THUMBNAILS, inventory.THUMBNAIL, thumbnails))
    for folder, kind, expected in (*kinds, (keys.CHIPS, inventory.CHIP, cut)):
        prefixes = [f"{folder}/{place.collection_id}/"]
        if nobodys:
            prefixes += [f"{folder}/{name}/" for name in _folders(place.store, folder) if name not in map(str, there)]
        for prefix in prefixes:
            _list(place, ledger, kind, prefix, expected, telling)
    if nobodys:
        _of_jobs_and_models(place, ledger)
    _photos(place, ledger, photos)
    _chips(place, ledger, cut)
    _thumbnails(place, ledger, thumbnails)


def _list(place: Place, ledger: Ledger, kind: str, prefix: str, expected: Expected, telling: "_Telling") -> None:
    """Meet every object under *prefix*; what no row names and has been there for an hour is a stray."""
    before, strangers = time.time() - upkeep.ORPHAN_AFTER_S, []
    for some in _batches(place.store.plain(place.store.list(prefix)), _OBJECTS):
        ledger.looked_at["objects"] += len(some)
        telling.more(len(some))
        strangers += [s.key for s in expected.meet(some) if s.modified.timestamp() < before]
        while len(strangers) >= _STRANGERS:
            _strays(place, ledger, kind, strangers[:_STRANGERS])
            del strangers[:_STRANGERS]
    _strays(place, ledger, kind, strangers)


def _strays(place: Place, ledger: Ledger, kind: str, object_keys: Sequence[str]) -> None:
    with place.catalog.reading() as session:
        known = inventory.named(session, kind, object_keys)
    _drop(place, ledger, [key for key in object_keys if key not in known])


def _drop(place: Place, ledger: Ledger, strays: Sequence[str]) -> None:
    if place.repair:
        place.store.delete_many(strays)
    for key in strays:
        ledger.note("object_stray", MENDED if place.repair else _FOUND_ONLY, object=key)


def _of_jobs_and_models(place: Place, ledger: Ledger) -> None:
    """What jobs and models that are gone have left: reports, archives, files of models."""
    before = time.time() - upkeep.ORPHAN_AFTER_S
    for folder, known in (
        (keys.REPORTS, inventory.jobs),
        (keys.ARCHIVES, inventory.jobs),
        (keys.MODELS, inventory.digests),
    ):
        for some in _batches(place.store.list(f"{folder}/"), _STRANGERS):
            ledger.looked_at["objects"] += len(some)
            place.tell({"stage": PART})
            old = {s.key: s.key.split("/")[1] for s in some if s.modified.timestamp() < before}
            with place.catalog.reading() as session:
                there, leaving = known(session, set(old.values())), inventory.leaving(session, list(old))
            _drop(place, ledger, [key for key, owner in old.items() if owner not in there and key not in leaving])


def _photos(place: Place, ledger: Ledger, expected: Expected) -> None:
    lost = set(expected.missing())
    for some in _batches(iter(sorted(lost | set(expected.odd()))), _STRANGERS):
        for photo in _again(place, inventory.photos_by_id, some):
            size = _size(place.store, photo.object_key)
            if size != photo.size_bytes:
                kind = "photo_missing" if size is None else "photo_altered"
                ledger.note(kind, _FOUND_ONLY, photo=photo.public_id, object=photo.object_key)


def _chips(place: Place, ledger: Ledger, expected: Expected) -> None:
    done: set[str] = set()
    for some in _batches(iter(sorted({*expected.missing(), *expected.odd()})), _STRANGERS):
        for face in _again(place, inventory.chips_by_id, some):
            place.tell({"stage": "chips"})
            size = _size(place.store, face.chip_key)
            if not size and face.chip_key not in done:
                done.add(face.chip_key)  # Rows of several rounds share it.
                outcome = mending.chip(place, face.public_id, face.chip_key) if place.repair else _FOUND_ONLY
                kind = "chip_missing" if size is None else "chip_damaged"
                ledger.note(kind, outcome, face=face.public_id, object=face.chip_key)


def _thumbnails(place: Place, ledger: Ledger, expected: Expected) -> None:
    for some in _batches(iter(sorted({*expected.missing(), *expected.odd()})), _STRANGERS):
        for photo in _again(place, inventory.photos_by_id, some):
            place.tell({"stage": "thumbnails"})
            if photo.thumbnail_key is not None and not _size(place.store, photo.thumbnail_key):
                outcome = mending.thumbnail(place, photo) if place.repair else _FOUND_ONLY
                ledger.note("thumbnail_missing", outcome, photo=photo.public_id, object=photo.thumbnail_key)


class _Telling:
    """How far it is: rows and objects alike."""

    def __init__(self, place: Place, total: int) -> None:
        self._place, self._done, self._total = place, 0, total

    def more(self, count: int) -> None:
        """So many more."""
        self._done += count
        self._place.tell({"stage": PART, "done": self._done, "total": max(self._total, self._done)})


def _paged(place: Place, read: Callable[..., Sequence[_T]], telling: _Telling) -> Iterator[_T]:
    """All rows that *read* gives, each page in a transaction of its own."""
    after = 0
    while True:
        with place.catalog.reading() as session:
            page = read(session, place.collection_id, after=after, limit=_ROWS)
        if not page:
            return
        after = page[-1].id  # type: ignore[attr-defined] # Every row has a number.
        telling.more(len(page))
        yield from page


def _again(place: Place, read: Callable[[Session, Sequence[int]], list[_T]], numbers: Sequence[int]) -> list[_T]:
    with place.catalog.reading() as session:
        return read(session, numbers)


def _size(store: Vault, key: str) -> int | None:
    try:
        return store.size(key)
    except MissingObject:
        return None


def _folders(store: Vault, kind: str) -> Iterator[str]:
    """The second parts of the names of all objects of a *kind*: numbers of collections."""
    start = None
    while True:
        first = next(store.list(f"{kind}/", start_after=start), None)
        if first is None:
            return
        name = first.key.split("/")[1]
        yield name
        start = f"{kind}/{name}/~"  # Behind every id.


def _batches(found: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(found)
    while some := list(islice(rest, size)):
        yield some


def _number(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
