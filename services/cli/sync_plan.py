"""What has changed in a source since it was read last, told from names, sizes and times alone."""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services import path_hashes
from services.cli.importing import label_of
from services.cli.service import Document
from services.errors import Conflict, PhotoRefused
from services.sources.entries import Entry, judged
from services.sources.layouts import Labels, Shown

AGAIN = {"no_basis", "no_consent", "disk_full", "missing_object", "crashed_worker"}
"""Reasons that the file is not to blame for: it is sent again."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as it is now."""

    entry: Entry
    size_bytes: int
    modified_ns: int
    shown: Shown | None
    """Whom it shows; None: that cannot be said."""

    @property
    def path(self) -> str:
        """With slashes, relative to the source."""
        return self.entry.path

    @property
    def seen(self) -> Document:
        """As the service is told of it."""
        return {
            "size_bytes": self.size_bytes,
            "modified_ns": self.modified_ns,
            "whose": whose_of(self.shown),
            "label": said_of(self.shown),
        }


@dataclass(slots=True)
class Plan:
    """What is to be done."""

    unchanged: list[File] = field(default_factory=list)
    rejected: list[tuple[File, str, str]] = field(default_factory=list)
    """As they ended before: ``rejected`` or ``skipped``, and the reason."""
    erased: list[File] = field(default_factory=list)
    """Of people or photos that were erased here: they are not brought back."""
    new: list[File] = field(default_factory=list)
    changed: list[File] = field(default_factory=list)
    missing: list[Document] = field(default_factory=list)
    """Files that were there, as the service knows them; what it keeps of who was erased stays, in case they come back."""
    told: dict[str, tuple[Shown, list[Document]]] = field(default_factory=dict)
    """People of whom something else is said now: by their id, what is said, and their files, to be noted with it."""
    people: dict[str, str] = field(default_factory=dict)
    """Ids of the people who are known, by what they are keyed by."""
    leaving: list[str] = field(default_factory=list)
    """Ids of people who are no longer there."""
    stale: dict[str, list[Document]] = field(default_factory=dict)
    """Files that are gone or were changed, by the hash of what they were."""

    @property
    def to_read(self) -> list[File]:
        """Files whose bytes are needed."""
        return [*self.new, *self.changed]


def must_be_readable(folder: Path) -> None:
    """See that every folder in *folder* can be looked into: who is in one that cannot be would seem to have left.

    Raises:
        Conflict: One cannot.
    """
    for place, folders, _ in os.walk(folder, onerror=_refuse):
        try:
            os.stat(os.path.join(place, "."))  # noqa: PTH116, PTH118 - pathlib takes the dot away.
        except OSError as error:
            _refuse(error)
        inside = Path(place).relative_to(folder)
        folders[:] = [each for each in folders if judged((inside / each).as_posix()) is None]


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # It went while we looked.
        why = "Who is in it would seem to have left, so nothing was changed."
        raise Conflict(f"{error.filename} cannot be read ({error.strerror}). {why}")


def walked(folder: Path, listed: Iterable[Entry], labels: Labels) -> list[File]:
    """The files of a folder with sizes and times; what lies there is not read."""
    found = []
    for entry in listed:
        try:
            stat = (folder / entry.path).stat()
        except OSError as error:
            if entry.refused is None:
                _refuse(error)
            continue
        shown: Shown | None
        try:
            shown = None if entry.refused is not None else labels.of(entry.path)
        except PhotoRefused:
            shown = None
        found.append(File(entry, stat.st_size, stat.st_mtime_ns, shown))
    return found


def whose_of(shown: Shown | None) -> str:
    """Hash of what somebody is known by in a source: the external id, else the name."""
    if shown is None:
        return ""
    return path_hashes.of({"id": shown.external_id} if shown.external_id else {"name": " ".join(shown.person.split())})


def said_of(shown: Shown | None) -> str:
    """Hash of all that a source says of somebody."""
    return "" if shown is None else path_hashes.of(label_of(shown))


def plan(files: Sequence[File], known: Sequence[Document], named: Iterable[Shown]) -> Plan:
    """Compare what is there with what was seen last.

    Args:
        files: Of the source, as they are now.
        known: As the service remembers them.
        named: Everybody whom the source names, even without a file.
    """
    made = Plan()
    by_path = {row["path"]: row for row in known}
    there: set[str] = set()
    for file in files:
        row = by_path.get(file.path) or by_path.get(path_hashes.hashed(file.path))
        if row is not None:
            there.add(row["path"])
        _sort(made, file, row)
    made.missing = [row for row in known if row["path"] not in there and row["state"] != "erased"]
    changed = {file.path for file in made.changed}
    stale: dict[str, list[Document]] = defaultdict(list)
    for row in known:
        if row["path"] not in there or row["path"] in changed:
            stale[row["sha256"]].append(row)
        if row["person_id"] is not None and row["whose"]:
            made.people.setdefault(row["whose"], row["person_id"])
    made.stale = dict(stale)
    present = {whose_of(shown) for shown in named} | {whose_of(file.shown) for file in files}
    staying = {made.people[whose] for whose in present if whose in made.people}
    gone = dict.fromkeys(
        row["person_id"] for row in known if row["person_id"] is not None and row["whose"] not in present
    )
    made.leaving = [person for person in gone if person not in staying]
    _tell_anew(made, by_path)
    return made


def _sort(made: Plan, file: File, row: Mapping[str, object] | None) -> None:
    if row is None:
        made.new.append(file)
    elif (row["size_bytes"], row["modified_ns"]) != (file.size_bytes, file.modified_ns):
        made.changed.append(file)
    elif row["state"] == "erased":
        made.erased.append(file)
    elif (
        row["whose"] != whose_of(file.shown)
        or row["state"] == "cancelled"
        or (row["state"] == "rejected" and (row["label"] != said_of(file.shown) or row["reason"] in AGAIN))
    ):
        made.changed.append(file)
    elif row["state"] in {"rejected", "skipped"}:
        made.rejected.append((file, str(row["state"]), str(row["reason"] or "")))
    else:
        made.unchanged.append(file)


def _tell_anew(made: Plan, by_path: Mapping[str, Document]) -> None:
    for file in made.unchanged:
        row = by_path[file.path]
        person = row["person_id"]
        if file.shown is None or person is None or row["label"] == said_of(file.shown):
            continue
        noted = {**file.seen, "path": file.path, "sha256": row["sha256"], "state": "skipped"}
        made.told.setdefault(person, (file.shown, []))[1].append(noted)
