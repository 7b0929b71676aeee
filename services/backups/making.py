"""A backup of a running system: the catalog at one moment, then the objects that it names.

Objects are never overwritten by other content and never come back under a name, so those that are in the place already are
not read again, and one that is gone when its turn comes was deleted after that moment. Everything of the backup that is not
an object is new; its manifest is written last. Memory does not grow with the catalog, but for 8 bytes an object that the
place holds, 40 while they are sorted.
"""

import io
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from services.backups import manifest as manifests
from services.backups import pruning
from services.backups.copying import Copying, Source, Tell
from services.backups.destination import Destination
from services.backups.flow import Flow, note
from services.backups.manifest import LEDGER, MANIFEST, MARK, Manifest, Table
from services.catalog import migrate
from services.catalog.dumps import backups, dumping
from services.catalog.dumps.dumping import Owners, Snapshot
from services.errors import Conflict
from services.photos import sealing, wrapping
from services.photos.wrapping import Wrapping
from services.version import __version__


def make(source: Source, place: Destination, *, keep: int, tell: Tell, job: str | None = None) -> Manifest:
    """Write a backup, and remove those that are too old.

    Args:
        source: What is backed up.
        place: Where to; made if it is not there.
        keep: How many backups the place keeps, this one among them; 0: all.
        tell: Takes how far it is.
        job: Public id of the job, where it is one.

    Returns:
        What it says of itself.

    Raises:
        BackupUnavailable, DiskFull: The place cannot be written.
        CatalogUnavailable, PhotoStoreUnavailable: What is backed up does not answer. What was copied is not copied again.
        Conflict: Somebody else writes there, it holds something else, or the catalog is at another version's schema.
    """
    began, started = time.time(), time.monotonic()
    if not migrate.is_current(source.catalog):
        raise Conflict("The catalog is not at this version's schema, or half restored. Run: colega migrate")
    with place.alone():
        _claim(place)
        pruning.drop_unfinished(place)
        name = manifests.new_name(place, began)
        key = None if source.wrapping is None else sealing.new_key()
        made = _Making(source, place, name, key, tell)
        with TemporaryFile() as wanted:
            made.tables(cast("BinaryIO", wanted))
            copying = Copying(source, place, name, made.owners, made.objects, tell)
            listed, counted = copying.all_of(cast("BinaryIO", wanted))
        figures = {**vars(counted), "catalog_bytes": sum(table.size_bytes for table in made.written.values())}
        told = Manifest(
            name, manifests.FORMAT, __version__, made.revision, made.moment, time.time(),
            _wrapped(source.wrapping, key, name), sorted(made.needed), made.written, made.sequences, listed,
            counted.size_bytes, figures,
        )  # fmt: skip
        _publish(place, told, key)
        removed = pruning.prune(place, keep)
    told = replace(told, figures={**figures, **removed, "seconds": round(time.monotonic() - started, 3)})
    with source.catalog.transaction() as session:
        backups.note(session, told.name, job, place.name, told.figures, told.began_at)
    return told


def key_of(told: Manifest, keys_: Wrapping | None) -> bytes | None:
    """The key of a backup's tables; None: they are not sealed.

    Raises:
        WrappingKeyMissing: It is wrapped under a key that is not here.
    """
    if told.sealed_key is None:
        return None
    wrapped = bytes.fromhex(told.sealed_key)
    if keys_ is None:
        raise wrapping.missing(wrapping.which(wrapped).hex())
    return keys_.unwrap(wrapped, _purpose(told.name))


class _Making:
    """One backup while it is being written."""

    def __init__(self, source: Source, place: Destination, name: str, key: bytes | None, tell: Tell) -> None:
        self._source, self._place, self._name, self._key, self._tell = source, place, name, key, tell
        self.revision, self.moment = "", 0.0
        self.written: dict[str, Table] = {}
        self.sequences: dict[str, int] = {}
        self.needed = set() if source.wrapping is None else {source.wrapping.newest.hex()}
        self.owners = Owners(frozenset(), frozenset(), frozenset(), frozenset())
        self.objects = 0

    def tables(self, wanted: BinaryIO) -> None:
        """Write every table, all of one moment, and the names of their objects into *wanted*."""
        with dumping.snapshot(self._source.catalog) as snapshot:
            self.revision, self.moment = snapshot.revision, snapshot.moment
            self.sequences, self.owners = snapshot.sequences(), snapshot.owners()
            for table in snapshot.tables():
                self._tell({"stage": "catalog", "table": table.name})
                self.written[table.name] = self._table(snapshot, table)
            self.objects = note(wanted, snapshot.objects())
            for erasure in snapshot.erasures():
                if self._place.size(name := f"{LEDGER}/{erasure.id}.json") is None:
                    self._place.write(name, [manifests.written_down(erasure.to_json())])

    def _table(self, snapshot: Snapshot, table: Any) -> Table:  # noqa: ANN401 - SQLAlchemy's
        name, count = manifests.path(self._name, f"tables/{table.name}"), -1  # The first line is no row.

        def counting() -> Iterator[bytes]:
            nonlocal count
            for count, line in enumerate(snapshot.lines(table, self._hear)):  # noqa: B007 - the last number counts
                yield line

        packed: Iterable[bytes] = manifests.compressed(counting())
        if self._key is not None:
            packed = sealing.seal_stream(io.BufferedReader(Flow(packed), sealing.PIECE_BYTES), self._key, name)
        written = self._place.write(name, packed)
        return Table(count, written.size_bytes, written.sha256)

    def _hear(self, sealed_key: bytes) -> None:
        self.needed.add(wrapping.which(sealed_key).hex())


def _claim(place: Destination) -> None:
    """Mark an empty place as one for backups.

    Raises:
        Conflict: There is something else in it.
    """
    if place.size(MARK) is not None:
        return
    if (other := next(iter(place.names()), None)) is not None:
        raise Conflict(f"{place.name} holds something else ({other}). Give a folder that is empty or not there yet.")
    place.write(MARK, [manifests.MARKED])


def _publish(place: Destination, told: Manifest, key: bytes | None) -> None:
    """Write the manifest: from now on there is this backup."""
    text = told.text()
    if key is not None:
        place.write(manifests.path(told.name, f"{MANIFEST}.hmac"), [manifests.sign(text, key)])
    place.write(manifests.path(told.name, f"{MANIFEST}.sha256"), [manifests.check_line(text)])
    place.settle()
    place.write(manifests.path(told.name, MANIFEST), [text])
    place.settle()


def _wrapped(keys_: Wrapping | None, key: bytes | None, name: str) -> str | None:
    return None if keys_ is None or key is None else keys_.wrap(key, _purpose(name)).hex()


def _purpose(name: str) -> str:
    return f"backup/{name}"
