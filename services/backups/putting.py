"""Objects put back out of backups into a photo store: those that rows name and the store does not hold as they should be."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import Any, BinaryIO, cast

from services.backups import manifest as manifests
from services.backups import pruning
from services.backups.copying import Source, Tell
from services.backups.destination import Destination
from services.backups.flow import batches, note, noted
from services.backups.manifest import Listed
from services.catalog.dumps import dumping
from services.catalog.dumps.dumping import Named, Owners
from services.errors import BackupDamaged, MissingObject, PhotoStoreUnavailable
from services.photos import keys

_AT_ONCE, _THREADS = 256, 8
_IN_MEMORY = 8 * 1024 * 1024
_NAMED_AT_MOST = 100
_BY_ROWS = {keys.CHIPS, keys.PHOTOS, keys.THUMBNAILS}


@dataclass
class Restored:
    """What was put back, and what could not be."""

    backup: str
    began_at: float
    """What was written after it is not in it."""
    revision: str = ""
    tables: int = 0
    rows: int = 0
    rows_s: float = 0.0
    erased_again: int = 0
    """Entries of the ledger that the backup still had something of."""
    objects: int = 0
    """Put back."""
    objects_bytes: int = 0
    objects_there: int = 0
    """As they should be, before anything was done."""
    objects_s: float = 0.0
    lost: int = 0
    """Objects that rows name, and that neither the store nor the backup has."""
    lost_named: list[str] | None = None
    """Some of those, and why."""
    seconds: float = 0.0


class Putting:
    """Objects of a backup on their way into the store."""

    def __init__(self, target: Source, place: Destination, done: Restored, tell: Tell) -> None:
        self._store, self._catalog, self._place, self._done, self._tell = (
            target.store,
            target.catalog,
            place,
            done,
            tell,
        )
        self._named: list[str] = []

    def all_of(self, names: list[str]) -> None:
        """Put back what rows name and the store does not hold, out of these backups."""
        started = time.monotonic()
        with TemporaryFile() as file:
            with dumping.snapshot(self._catalog) as snapshot:
                owners, total = snapshot.owners(), note(cast("BinaryIO", file), snapshot.objects())
            wanted = self._wanted(noted(cast("BinaryIO", file)), owners, pruning.merged(self._place, names))
            with ThreadPoolExecutor(_THREADS, thread_name_prefix="restore") as threads:
                for some in batches(wanted, _AT_ONCE):
                    for listed, why in zip(some, threads.map(self._restored, some), strict=True):
                        self._count(listed, why)
                    self._tell(
                        {"stage": "objects", "done": self._done.objects + self._done.objects_there, "total": total}
                    )
        self._done.lost_named = self._named
        self._done.objects_s = round(time.monotonic() - started, 3)

    def _wanted(self, rows: Iterator[Named], owners: Owners, listed: Iterator[Listed]) -> Iterator[Listed | Named]:
        """By name, what rows name: as the backups list it, or as it is named where they do not have it."""
        coming = next(rows, None)
        for one in listed:
            if one.key.split("/")[0] not in _BY_ROWS:
                if owners.own(one.key):
                    yield one
                continue
            while coming is not None and coming.key < one.key:
                yield coming
                coming = next(rows, None)
            if coming is not None and coming.key == one.key and one.sealed <= coming.sealed:
                yield one
                coming = next(rows, None)
        while coming is not None:
            yield coming
            coming = next(rows, None)

    def _restored(self, one: Listed | Named) -> str | None:
        """See that the store holds an object. Returns ``there``, ``put``, or why it is lost."""
        if isinstance(one, Named):
            return "there" if self._store.exists(one.key) else "The backup does not have it."
        if self._store.holds(one.key, one.sha256):
            return "there"
        try:
            with SpooledTemporaryFile(_IN_MEMORY) as spooled:
                for piece in manifests.checked(self._place.read(one.file), one, one.file):
                    spooled.write(piece)
                spooled.seek(0)
                self._store.put(one.key, cast("Any", spooled), length=one.size_bytes)
        except BackupDamaged as error:
            return "there" if self._is_there(one) else str(error)
        if not self._store.holds(one.key, one.sha256):
            raise PhotoStoreUnavailable(f"The photo store does not give {one.key} back as it was given.")
        return "put"

    def _is_there(self, one: Listed) -> bool:
        """Whether the store has an object of that name and size, where the backup has none to hold it against."""
        try:
            return self._store.size(one.key) == one.size_bytes
        except MissingObject:
            return False

    def _count(self, one: Listed | Named, what: str | None) -> None:
        if what == "there":
            self._done.objects_there += 1
        elif what == "put":
            assert isinstance(one, Listed)
            self._done.objects, self._done.objects_bytes = (
                self._done.objects + 1,
                self._done.objects_bytes + one.size_bytes,
            )
        else:
            self._done.lost += 1
            if len(self._named) < _NAMED_AT_MOST:
                self._named.append(f"{one.key}: {what}")
