"""The manifest of a snapshot: which files it consists of, with sizes and checksums. It is written last."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
CLEANSED = "cleansed"
"""Of the counts, the last log entry up to which nothing that was removed is in its files."""


class DamagedSnapshot(Exception):
    """A snapshot that cannot be used; says which file and why. The replica is made from an older one or from rows."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file of a snapshot."""

    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, file: Path) -> "Stored":
        """What *file* is now."""
        with file.open("rb") as read:
            return cls(os.fstat(read.fileno()).st_size, hashlib.file_digest(read, "sha256").hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot consists of."""

    epoch: str
    sequence: int
    dimension: int
    faces: tuple[str, ...]
    """Names of the segments, oldest first."""
    templates: tuple[str, ...]
    counts: Mapping[str, int]
    files: Mapping[str, Stored]
    state: str
    """Of the files, the one with the newest rows; the attributes lie beside it."""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """EPOCH-SEQUENCE, which sorts by sequence within an epoch."""
        return named(self.epoch, self.sequence)

    @property
    def object(self) -> str:
        """The name of the manifest itself, beside the names in :attr:`files`."""
        return f"{self.name}/{MANIFEST}"

    @property
    def attributes(self) -> str:
        """Of the files, the one with everybody's attributes."""
        return self.state.replace("/state-", "/attributes-").replace(".npz", ".json")

    @property
    def cleansed(self) -> int:
        """The last log entry up to which nothing that was removed is in its files; -1 where that is not known."""
        return int(self.counts.get(CLEANSED, -1))

    def write(self, file: Path) -> None:
        """Write it to *file*, on disk when this returns.

        Raises:
            OSError: There is no room.
        """
        with file.open("w", encoding="utf-8") as out:
            json.dump(asdict(self), out)
            out.flush()
            os.fsync(out.fileno())

    @classmethod
    def read(cls, file: Path) -> "Manifest":
        """The manifest in *file*.

        Raises:
            DamagedSnapshot: It is no such document, or of another format.
        """
        try:
            held = json.loads(file.read_text("utf-8"))
            if held["format"] != FORMAT:
                raise DamagedSnapshot(f"{file.name} has format {held['format']}; this version reads {FORMAT}.")
            files = {_safe(name): Stored(**stored) for name, stored in held["files"].items()}
            lists = {role: tuple(held[role]) for role in ("faces", "templates")}
            return cls(**{**held, **lists, "files": files})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedSnapshot(f"The manifest of {file.parent.name} cannot be read: {error}") from error


def named(epoch: str, sequence: int) -> str:
    """The name of a snapshot: EPOCH-SEQUENCE."""
    return f"{epoch}-{sequence:020d}"


def newest(names: "set[str]", epoch: str, count: int) -> list[str]:
    """The *count* newest of snapshots' names that belong to *epoch*, newest first."""
    return sorted((name for name in names if name.startswith(f"{epoch}-")), reverse=True)[:count]


def _safe(name: str) -> str:
    """*name*, if it is one that lies below the folder it is looked up in."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"a file is named {name!r}")
    return name
