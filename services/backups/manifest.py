"""What a backup says of itself. Written last: without it there is no backup.

objects/<name of the object>[.sealed]            as it lay in the photo store, once for all backups
ledger/<id of the erasure>.json                  who was erased, of all backups
catalogs/<time>-<random>/tables/<table>          lines of JSON, compressed, sealed with the backup's own key
catalogs/<time>-<random>/objects                 the objects that belong to it: lines of JSON, compressed, by name
catalogs/<time>-<random>/manifest.json           and manifest.json.sha256, as sha256sum writes it
"""

import hashlib
import hmac
import json
import re
import secrets
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from services.backups.destination import Destination, Written
from services.errors import BackupDamaged

CATALOGS, OBJECTS, LEDGER = "catalogs", "objects", "ledger"
MANIFEST = "manifest.json"
MARK = "colega-backup.json"
"""Says of a place that it is for backups: nowhere else is anything ever removed."""
FORMAT = 1

_NAME = re.compile(r"([0-9]{8}T[0-9]{6}\.[0-9]{3}Z)-[0-9a-f]{8}")
_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_SEALED = ".sealed"
_LONGEST_LINE = 64 * 1024 * 1024


class Listed(NamedTuple):
    """An object of a backup."""

    key: str
    size_bytes: int
    sha256: str
    sealed: bool
    """As it lay in the store. A plain one is copied again once it has a key, and the two are kept apart."""

    @property
    def file(self) -> str:
        """Where it is in the place."""
        return file(self.key, sealed=self.sealed)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a backup: its rows, and the file they are in."""

    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module."""

    name: str
    format: int
    version: str
    """Of colega."""
    revision: str
    """Of the catalog's schema."""
    began_at: float
    """What the catalog held then, by its own clock, is in it."""
    finished_at: float
    sealed_key: str | None
    """The key of this backup's tables, wrapped, in hexadecimal; None: nothing is sealed here."""
    wrapping_keys: list[str]
    """The ids of those that this backup and its rows need."""
    tables: dict[str, Table]
    sequences: dict[str, int]
    """The last numbers given to rows."""
    objects: Table
    objects_bytes: int
    figures: dict[str, Any]
    """How much was copied, and what could not be."""

    def text(self) -> bytes:
        """As the file has it."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def read(cls, where: Destination, name: str) -> Self:
        """The manifest of the backup *name*.

        Raises:
            BackupDamaged: It is not there, not as it was written, or of a newer format.
        """
        text = b"".join(where.read(path(name, MANIFEST)))
        said = b"".join(where.read(path(name, MANIFEST + ".sha256")))
        if said != check_line(text):
            raise BackupDamaged(f"The manifest of {name} in {where.name} is not as it was written.")
        told = json.loads(text)
        if told["format"] > FORMAT:
            raise BackupDamaged(
                f"{name} in {where.name} was written by a newer colega ({told['version']}). Install that one."
            )
        tables = {table: Table(**held) for table, held in told.pop("tables").items()}
        return cls(**{**told, "objects": Table(**told["objects"])}, tables=tables)

    def is_signed(self, signature: bytes, key: bytes) -> bool:
        """Whether whoever wrote it had the backup's key."""
        return hmac.compare_digest(signature, sign(self.text(), key))


def path(name: str, file: str) -> str:
    """Where a file of the backup *name* is."""
    return f"{CATALOGS}/{name}/{file}"


def file(key: str, *, sealed: bool) -> str:
    """Where an object is in the place."""
    return f"{OBJECTS}/{key}{_SEALED if sealed else ''}"


def key_of(name: str) -> str:
    """The object that a file below ``objects/`` is of."""
    return name.removeprefix(f"{OBJECTS}/").removesuffix(_SEALED)


def check_line(text: bytes) -> bytes:
    """What ``sha256sum manifest.json`` says."""
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n".encode()


def sign(text: bytes, key: bytes) -> bytes:
    """HMAC-SHA256 under the backup's key."""
    return hmac.new(key, b"colega manifest\n" + text, "sha256").hexdigest().encode()


def all_of(where: Destination) -> list[str]:
    """The names of the backups that are whole, oldest first.

    Raises:
        BackupDamaged: It is no place for backups.
    """
    require(where)
    names = {name.split("/")[1] for name in where.names(CATALOGS) if name.endswith(f"/{MANIFEST}")}
    return sorted(name for name in names if _NAME.fullmatch(name))


def new_name(where: Destination, began_at: float) -> str:
    """The name of a backup that began then, behind those of all that there are, whatever the clock said when they were made.

    Raises:
        BackupDamaged: It is no place for backups.
    """
    moment = datetime.fromtimestamp(began_at, UTC)
    for newest in all_of(where)[-1:]:
        last = datetime.strptime(newest.partition("-")[0], _MOMENT).replace(tzinfo=UTC)
        moment = max(moment, last + timedelta(milliseconds=1))
    return f"{moment.strftime(_MOMENT)[:-4]}Z-{secrets.token_hex(4)}"


def chosen(where: Destination, at: str | None) -> str:
    """The name of the backup that *at* is the name of, or its beginning; None: the newest.

    Raises:
        BackupDamaged: There is none.
    """
    found = [name for name in all_of(where) if at is None or name.startswith(at)]
    if not found:
        raise BackupDamaged(
            f"{where.name} has no backup{'' if at is None else f' {at}'}. See: colega backup list {where.name}"
        )
    return found[-1]


def require(where: Destination) -> None:
    """See that *where* is a place for backups.

    Raises:
        BackupDamaged: It is none.
    """
    if where.size(MARK) is None:
        raise BackupDamaged(f"There are no backups of colega in {where.name}.")


def compressed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """*lines* as gzip has them."""
    packing = zlib.compressobj(3, wbits=31)
    for line in lines:
        if piece := packing.compress(line):
            yield piece
    yield packing.flush()


def lines(pieces: Iterable[bytes], what: str) -> Iterator[bytes]:
    """The lines in what gzip has compressed.

    Raises:
        BackupDamaged: It is not as it was written.
    """
    unpacking, held = zlib.decompressobj(wbits=31), b""
    try:
        for piece in pieces:
            rest = piece
            while rest:
                held += unpacking.decompress(rest, _LONGEST_LINE)
                rest = unpacking.unconsumed_tail
                *whole, held = held.split(b"\n")
                yield from whole
    except zlib.error:
        raise BackupDamaged(f"{what} is not as it was written.") from None
    if held or not unpacking.eof:
        raise BackupDamaged(f"{what} is cut short.")


def checked(pieces: Iterable[bytes], expected: Table | Listed, what: str) -> Iterator[bytes]:
    """*pieces* as they come; at the end it is known whether they are what was written.

    Raises:
        BackupDamaged: They are not.
    """
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        yield piece
    if Written(size, digest.hexdigest()) != Written(expected.size_bytes, expected.sha256):
        raise BackupDamaged(f"{what} is not as it was written.")


def listed(where: Destination, manifest: Manifest) -> Iterator[Listed]:
    """The objects of a backup, by name.

    Raises:
        BackupDamaged: The list is not as it was written.
    """
    name = path(manifest.name, OBJECTS)
    for line in lines(checked(where.read(name), manifest.objects, name), name):
        yield Listed(*json.loads(line))


def line_of(row: Listed) -> bytes:
    """As :func:`listed` reads it."""
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def written_down(told: Mapping[str, Any]) -> bytes:
    """An entry of the ledger as a file: JSON, and its SHA-256 on a line of its own."""
    text = json.dumps(told, sort_keys=True).encode()
    return text + b"\n" + hashlib.sha256(text).hexdigest().encode() + b"\n"


def entries(where: Destination) -> Iterator[Mapping[str, Any]]:
    """The ledger of the place.

    Raises:
        BackupDamaged: An entry is not as it was written.
    """
    for name in sorted(where.names(LEDGER)):
        held = b"".join(where.read(name))
        text, _, said = held.partition(b"\n")
        if said != hashlib.sha256(text).hexdigest().encode() + b"\n":
            raise BackupDamaged(f"{name} in {where.name} is not as it was written.")
        yield json.loads(text)


MARKED = json.dumps({"what": "backups of colega", "format": FORMAT}).encode() + b"\n"
