"""CompreFace's PostgreSQL dump: whom its photos show, read from plain SQL as a stream and never executed. Standard library only.

Of versions 1.0 to 1.2: the tables ``subject`` (name, by service), ``embedding`` (which photo shows which subject) and ``img``
(the photos, where CompreFace was set to keep them). Embeddings are of its own model and are left where they are.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from services import formats
from services.errors import InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources.entries import Entry, Limits
from services.sources.layouts import Shown

DEMO_KEY = "00000000-0000-0000-0000-000000000002"
"""Of the service that CompreFace brings along, with faces of film stars and no photos."""

_COPY = re.compile(rb'COPY (?:"?\w+"?\.)?"?(?P<table>\w+)"? \((?P<columns>[^)]*)\) FROM stdin;\s*')
_INSERT = re.compile(rb'INSERT INTO (?:"?\w+"?\.)?"?(?:subject|embedding|img)"?[ (]')
_ENCODING = re.compile(rb"SET client_encoding = '(\w+)';")
_CODECS = {"UTF8": "utf-8", "SQL_ASCII": "utf-8", "LATIN1": "latin-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252"}
_ESCAPED = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_OCTAL = re.compile(rb"\\(\\|[0-7]{3})")
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_LONGEST_LINE = 64 * 2**20
_HEAD_BYTES = 64
"""Enough to tell one format of photos from another."""
_TABLES = {
    "subject": ("id", "api_key", "subject_name"),
    "embedding": ("id", "subject_id", "img_id"),
    "img": ("id", "content"),
}
_NOT_KEPT = "CompreFace has not kept the photo (save_images_to_db was off): send one, and colega can know them."

Row = dict[str, bytes | None]


class Found(NamedTuple):
    """Photos, and whom each shows by its path. A subject of whom there is no photo has an entry that is refused."""

    listed: Sequence[Entry]
    shown: Mapping[str, Shown]


@dataclass(slots=True)
class _Tables:
    """What a dump says, without the photos' bytes."""

    subjects: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    """Service key and name, by id."""
    examples: list[tuple[bytes, bytes, bytes | None]] = field(default_factory=list)
    """Id, subject and photo."""
    photos: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Where its row begins in the file, in bytes, and its first bytes; by id."""
    services: dict[str, str] = field(default_factory=dict)
    """Name, by key."""
    columns: dict[str, list[str]] = field(default_factory=dict)


def of_dump(path: Path, service: str | None = None, limits: Limits | None = None) -> Found:
    """The photos of one recognition service.

    Args:
        path: What ``pg_dump`` wrote, as plain SQL.
        service: API key of the service; None where there is only one that has subjects.
        limits: How large a photo may be.

    Raises:
        InvalidRequest: It is in another format, cut short, of another program, or has several services.
    """
    with path.open("rb") as file:
        tables = _read(file, path)
    key = _service(tables, service)
    limits = limits or Limits()
    return found(
        [name for owner, name in tables.subjects.values() if owner == key],
        (
            _example(path, tables, example, limits)
            for example in tables.examples
            if tables.subjects.get(example[1], ("", ""))[0] == key
        ),
    )


def found(names: Sequence[str], examples: Iterator[tuple[str, Entry]]) -> Found:
    """Photos with the name of whom each shows, and an entry that is refused for each of *names* who is in none."""
    listed: dict[str, Entry] = {}
    shown: dict[str, Shown] = {}
    for name, entry in examples:
        listed.setdefault(entry.path, entry)
        shown.setdefault(entry.path, Shown(name))
    seen = {each.person for each in shown.values()}
    for name in dict.fromkeys(names):
        if name not in seen:
            path = path_of(name, "no photo")
            listed[path] = not_kept(path)
            shown[path] = Shown(name)
    return Found(list(listed.values()), shown)


def path_of(name: str, photo: str) -> str:
    """What a photo is called in reports."""
    folder = name.translate({ord("/"): "_", ord("\\"): "_"}).strip()
    return f"{folder or '_'}/{photo}"


def not_kept(path: str) -> Entry:
    """An example whose photo is not there."""
    return Entry(path, lambda: b"", PhotoRefused(Rejection.MISSING_FILE, _NOT_KEPT))


def _example(
    path: Path, tables: _Tables, example: tuple[bytes, bytes, bytes | None], limits: Limits
) -> tuple[str, Entry]:
    example_id, subject, photo = example
    name = tables.subjects[subject][1]
    held = None if photo is None else tables.photos.get(photo)
    if photo is None or held is None:
        return name, not_kept(path_of(name, example_id.decode("ascii", "replace")))
    start, head = held
    called = f"{photo.decode('ascii', 'replace')}.{formats.sniff(head) or 'jpeg'}"
    place = tables.columns["img"].index("content")
    return name, Entry(path_of(name, called), _reader(path, start, place, limits.entry_bytes))


def _service(tables: _Tables, wanted: str | None) -> str:
    keys = {key for key, _ in tables.subjects.values()}
    if wanted is not None:
        if wanted not in keys:
            raise InvalidRequest("The dump has no subjects of a service with this key. See --compreface-key.")
        return wanted
    keys.discard(DEMO_KEY)
    if len(keys) != 1:
        named = ", ".join(f"{tables.services.get(key, 'a service')} ({key})" for key in sorted(keys)) or "none"
        raise InvalidRequest(
            f"The dump has subjects of these services: {named}. Say which with --compreface-key; each may go into a "
            "collection of its own."
        )
    return keys.pop()


def _read(file: IO[bytes], path: Path) -> _Tables:
    tables, codec = _Tables(), "utf-8"
    _refuse_other_formats(file.read(262), path)
    file.seek(0)
    while line := file.readline(_LONGEST_LINE):
        if match := _ENCODING.match(line):
            codec = _CODECS.get(match[1].decode(), "")
            if not codec:
                raise InvalidRequest(f"The dump is in {match[1].decode()}. Dump again: pg_dump --encoding=UTF8.")
        if _INSERT.match(line):
            raise InvalidRequest("The dump has INSERTs. Dump again, without --inserts and --column-inserts.")
        if match := _COPY.fullmatch(line):
            name = match["table"].decode()
            tables.columns[name] = [each.strip().strip('"') for each in match["columns"].decode().split(",")]
            for start, raw in _rows(file, name):
                _note(tables, name, start, raw, codec)
    if lacking := sorted(set(_TABLES) - set(tables.columns)):
        raise InvalidRequest(f"{path} is no dump of CompreFace 1.0 to 1.2: it lacks the tables {', '.join(lacking)}.")
    return tables


def _refuse_other_formats(head: bytes, path: Path) -> None:
    if head.startswith(b"PGDMP") or head[257:262] == b"ustar":
        raise InvalidRequest(
            f"{path} is an archive of pg_dump's. Make plain SQL of it: pg_restore --file=compreface.sql {path}"
        )
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04")):
        raise InvalidRequest(f"{path} is compressed. Unpack it first: gunzip {path}")


def _rows(file: IO[bytes], table: str) -> Iterator[tuple[int, bytes]]:
    """The rows of a COPY block, each with where it begins."""
    while True:
        start = file.tell()
        line = file.readline(_LONGEST_LINE)
        if line.rstrip(b"\r\n") == b"\\.":
            return
        if not line.endswith(b"\n"):
            if len(line) < _LONGEST_LINE:
                raise InvalidRequest(f"The dump is cut short in the table {table}. Dump or copy it again.")
            while (rest := file.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
                continue
        yield start, line


def _note(tables: _Tables, table: str, start: int, raw: bytes, codec: str) -> None:
    columns = tables.columns[table]
    if table == "model":
        row = dict(zip(columns, _fields(raw), strict=False))
        tables.services[_text(row.get("api_key"), codec)] = _text(row.get("name"), codec)
    if table not in _TABLES:
        return
    row = dict(zip(columns, _fields(raw), strict=False))
    if not set(_TABLES[table]) <= set(row):
        raise InvalidRequest(
            f"The table {table} lacks the columns {', '.join(_TABLES[table])}; it is of another version."
        )
    number = _bytes(row["id"])
    if table == "subject":
        tables.subjects[number] = (_text(row["api_key"], codec), _text(row["subject_name"], codec))
    elif table == "embedding":
        photo = row["img_id"]
        tables.examples.append((number, _bytes(row["subject_id"]), None if photo is None else _unescaped(photo)))
    else:
        tables.photos[number] = (start, _head(row["content"] or b""))


def _fields(raw: bytes) -> list[bytes | None]:
    """Of a row, as they stand; None is NULL."""
    return [None if each == b"\\N" else each for each in raw.rstrip(b"\r\n").split(b"\t")]


def _bytes(raw: bytes | None) -> bytes:
    return b"" if raw is None else _unescaped(raw)


def _text(raw: bytes | None, codec: str) -> str:
    return _bytes(raw).decode(codec, "replace")


def _unescaped(raw: bytes) -> bytes:
    """A field as COPY means it."""
    return _ESCAPED.sub(_meant, raw) if b"\\" in raw else raw


def _meant(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 8) & 0xFF])
    if match[2] is not None:
        return bytes([int(match[2], 16)])
    return _CONTROLS.get(match[3], match[3])


def _head(raw: bytes) -> bytes:
    """The first bytes of a photo, as far as they can be read."""
    try:
        return _content(raw[: 3 + 2 * _HEAD_BYTES] if raw.startswith(b"\\\\x") else raw)[:_HEAD_BYTES]
    except ValueError:
        return b""


def _content(raw: bytes) -> bytes:
    """The bytes of a ``bytea``: hexadecimal, or in the older form with escapes.

    Raises:
        ValueError: It is neither.
    """
    if raw.startswith(b"\\\\x"):
        return bytes.fromhex(raw[3:].decode("ascii"))
    return _OCTAL.sub(lambda match: b"\\" if match[1] == b"\\" else bytes([int(match[1], 8) & 0xFF]), _unescaped(raw))


def _reader(path: Path, start: int, place: int, most_bytes: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            line = file.readline(_LONGEST_LINE)
        try:
            data = _content(_fields(line)[place] or b"")
        except (ValueError, IndexError):
            raise PhotoRefused(Rejection.TRUNCATED, "The photo is damaged in the dump.") from None
        if len(data) > most_bytes or not line.endswith(b"\n"):
            raise PhotoRefused(Rejection.TOO_LARGE, f"The photo has more than {most_bytes:,} bytes.")
        return data

    return read
