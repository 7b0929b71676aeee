"""Objects copied into a place for backups: those that are not there yet, as they lie in the photo store."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

from services.backups import manifest as manifests
from services.backups.destination import Destination
from services.backups.flow import batches, noted
from services.backups.manifest import OBJECTS, Listed, Manifest, Table
from services.backups.presence import Names
from services.catalog.dumps import backups
from services.catalog.dumps.dumping import Named, Owners
from services.catalog.engine import Catalog
from services.errors import BackupDamaged, MissingObject
from services.photos import keys, sealing
from services.photos.store import PhotoStore
from services.photos.wrapping import Wrapping

Tell = Callable[[Mapping[str, Any]], None]
"""Takes how far it is; may raise Cancelled."""

_AT_ONCE, _THREADS = 256, 8
_NAMED_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class Source:
    """What is backed up."""

    catalog: Catalog
    store: PhotoStore
    """As objects lie there."""
    wrapping: Wrapping | None
    """None: nothing is sealed here."""


@dataclass
class Counted:
    """What became of the objects."""

    count: int = 0
    size_bytes: int = 0
    new: int = 0
    new_bytes: int = 0
    gone_meanwhile: int = 0
    """Deleted after the moment of the backup."""
    missing: int = 0
    """Named by the catalog, and not in the photo store."""
    named: list[str] = field(default_factory=list)
    """Some of those."""


class Copying:
    """The objects of one backup."""

    def __init__(self, source: Source, place: Destination, name: str, owners: Owners, total: int, tell: Tell) -> None:
        self._source, self._place, self._name, self._owners = source, place, name, owners
        self._total, self._tell, self._counted = total, tell, Counted()

    def all_of(self, wanted: BinaryIO) -> tuple[Table, Counted]:
        """Copy what is not there yet, and write the list of all that belong to this backup."""
        counted = self._counted
        present, before = Names(self._place.names(OBJECTS)), _Before(self._place)
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="backup") as threads:

            def rows() -> Iterator[bytes]:
                for some in batches(self._all(wanted), _AT_ONCE):
                    known = [old if (old := before.of(named)) and old.file in present else None for named in some]
                    copied = threads.map(
                        lambda pair: pair[1] or self._copy(pair[0], present), zip(some, known, strict=True)
                    )
                    for named, listed, old in zip(some, copied, known, strict=True):
                        if listed is None:
                            self._lost(named)
                            continue
                        counted.count, counted.size_bytes = counted.count + 1, counted.size_bytes + listed.size_bytes
                        if old is None:
                            counted.new, counted.new_bytes = counted.new + 1, counted.new_bytes + listed.size_bytes
                        yield manifests.line_of(listed)
                    self._tell({"stage": "objects", "done": counted.count, "total": max(self._total, counted.count)})

            written = self._place.write(manifests.path(self._name, OBJECTS), manifests.compressed(rows()))
        return Table(counted.count, written.size_bytes, written.sha256), counted

    def _all(self, wanted: BinaryIO) -> Iterator[Named]:
        """What this backup consists of, by name; those that rows name one by one come from *wanted*."""
        owners, store = self._owners, self._source.store
        by_rows = noted(wanted)
        coming = next(by_rows, None)
        for kind in sorted((keys.ARCHIVES, keys.CHIPS, keys.MODELS, keys.PHOTOS, keys.REPORTS, keys.THUMBNAILS)):
            if kind in (keys.ARCHIVES, keys.MODELS, keys.REPORTS):
                names = sorted(stored.key for stored in store.list(f"{kind}/") if owners.own(stored.key))
                yield from (Named(key, owners.seal(key)) for key in names)
            while coming is not None and coming.key.startswith(f"{kind}/"):
                yield coming
                coming = next(by_rows, None)
        assert coming is None, "Every object is of a kind."

    def _copy(self, named: Named, present: Names) -> Listed | None:
        """Copy an object as it lies, unless a backup that was not completed has; None: it is not there."""
        if (file := manifests.file(named.key, sealed=named.sealed)) in present:
            size, digest = 0, hashlib.sha256()
            for piece in self._place.read(file):
                size += len(piece)
                digest.update(piece)
            return Listed(named.key, size, digest.hexdigest(), named.sealed)
        pieces = self._source.store.stream(named.key)
        try:
            first = next(pieces, b"")
        except MissingObject:
            return None
        sealed = sealing.is_sealed(first)
        written = self._place.write(manifests.file(named.key, sealed=sealed), chain([first], pieces))
        return Listed(named.key, written.size_bytes, written.sha256, sealed)

    def _lost(self, named: Named) -> None:
        """Tell an object that was deleted meanwhile from one that should be there."""
        with self._source.catalog.reading() as session:
            still = backups.is_named(session, named.key)
        if not still:
            self._counted.gone_meanwhile += 1
            return
        self._counted.missing += 1
        if len(self._counted.named) < _NAMED_AT_MOST:
            self._counted.named.append(named.key)


class _Before:
    """The list of the backup before, read side by side with the new one. What only an older one has does not come back."""

    def __init__(self, place: Destination) -> None:
        names = manifests.all_of(place)
        self._rows: Iterator[Listed] = iter(())
        if names:
            with contextlib.suppress(BackupDamaged):  # What lies there is read instead.
                told = Manifest.read(place, names[-1])
                for _ in manifests.listed(place, told):  # All of it, before anything is taken from it.
                    pass
                self._rows = manifests.listed(place, told)
        self._next = next(self._rows, None)

    def of(self, named: Named) -> Listed | None:
        """What the backup before has of an object; None: nothing, or the object has got a key since."""
        while self._next is not None and self._next.key < named.key:
            self._next = next(self._rows, None)
        row = self._next
        return row if row is not None and row.key == named.key and row.sealed == named.sealed else None
