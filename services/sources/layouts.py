"""Layouts: whom a file shows, by where it lies, how it is called, or what a manifest says."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath

from services.errors import InvalidRequest, PhotoRefused
from services.rejections import Rejection
from services.sources.entries import MANIFEST

_NUMBERED = re.compile(r"(?P<name>.+?)[ _-]+\d+$")
_MOST_ROWS = 1_000_000
_TERMS = ("consent_given_at", "consent_notice", "expires_at")
"""Columns of a manifest that say on what terms somebody is enrolled."""


class Layout(StrEnum):
    """How a source says whom its photos show."""

    DIRECTORY = "directory"
    """The folder right above the photo is called as the person."""
    FILENAME = "filename"
    """``Name_0001.jpg``."""
    MANIFEST = "manifest"
    """A CSV file: ``path,person[,external_id][,consent_given_at][,consent_notice][,expires_at][,attribute…]``."""
    AUTO = "auto"
    """A manifest where there is one; folders where most photos lie in some; file names else."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Whom a photo shows."""

    person: str
    external_id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    consent_given_at: str | None = None
    consent_notice: str | None = None
    expires_at: str | None = None
    """As the manifest writes them."""


@dataclass(slots=True)
class Labels:
    """Who is in each file of a source."""

    layout: Layout
    rows: Mapping[str, Shown] = field(default_factory=dict)
    """Of a manifest, by path."""

    def of(self, path: str) -> Shown:
        """Whom the file at *path* shows.

        Raises:
            PhotoRefused: ``not_listed`` or ``invalid_name``.
        """
        if self.layout is Layout.MANIFEST:
            shown = self.rows.get(path)
            if shown is None:
                raise PhotoRefused(Rejection.NOT_LISTED, "The manifest does not name this file.")
            return shown
        if self.layout is Layout.DIRECTORY:
            folders = PurePosixPath(path).parts[:-1]
            if not folders:
                raise PhotoRefused(Rejection.INVALID_NAME, "The photo lies in no folder that names a person.")
            return Shown(folders[-1])
        match = _NUMBERED.match(PurePosixPath(path).stem)
        if match is None:
            raise PhotoRefused(Rejection.INVALID_NAME, "The file is not called like Name_0001.jpg.")
        return Shown(match["name"])


def labels(wanted: Layout, paths: Sequence[str], manifest: bytes | None) -> Labels:
    """How a source with these *paths* is labelled.

    Args:
        wanted: What was asked for.
        paths: Of the files that may be photos.
        manifest: The bytes of its manifest, where it has one.

    Raises:
        InvalidRequest: A manifest was asked for and there is none, or it cannot be read.
    """
    if wanted is Layout.MANIFEST or (wanted is Layout.AUTO and manifest is not None):
        if manifest is None:
            raise InvalidRequest(f"There is no {MANIFEST}. Choose another layout, or write one: path,person.")
        return Labels(Layout.MANIFEST, read_manifest(manifest))
    if wanted is Layout.AUTO:
        inside = sum("/" in path for path in paths)
        wanted = Layout.DIRECTORY if 2 * inside >= len(paths) else Layout.FILENAME
    return Labels(wanted)


def read_manifest(data: bytes) -> dict[str, Shown]:
    """The rows of a manifest, by path; of a path that is named twice the first row counts.

    UTF-8 (with or without a byte order mark), comma or semicolon, quoted as spreadsheets do.

    Raises:
        InvalidRequest: It is not UTF-8, or lacks the columns ``path`` and ``person``.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The manifest is not UTF-8. Save it as CSV UTF-8.") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ","
    )
    columns = [(name or "").strip().lower() for name in reader.fieldnames or []]
    if "path" not in columns or "person" not in columns:
        raise InvalidRequest("The manifest's first line must name the columns: path,person[,external_id][,attribute…].")
    reader.fieldnames = columns
    rows: dict[str, Shown] = {}
    try:
        for count, row in enumerate(reader):
            if count >= _MOST_ROWS:
                raise InvalidRequest(f"The manifest has more than {_MOST_ROWS:,} rows.")
            path = (row.get("path") or "").strip().replace("\\", "/").removeprefix("./")
            extra = {k: v.strip() for k, v in row.items() if k and isinstance(v, str) and v.strip()}
            attributes = {k: v for k, v in extra.items() if k not in {"path", "person", "external_id", *_TERMS}}
            terms = {column: extra.get(column) for column in _TERMS}
            rows.setdefault(path, Shown(row.get("person") or "", extra.get("external_id"), attributes, **terms))
    except csv.Error as error:
        raise InvalidRequest(f"The manifest cannot be read: {error}.") from None
    return rows
