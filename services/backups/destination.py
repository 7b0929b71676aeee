"""Where backups are: files by name, written whole or not at all. A folder, or a bucket of an S3 server."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.errors import BackupDamaged, BackupUnavailable, Conflict, DiskFull

_READ_BYTES = 256 * 1024
_PARTIAL = ".partial"
_LOCK = ".lock"
_NO_ROOM = 28


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    size_bytes: int
    sha256: str


class Destination(Protocol):
    """A place for backups. Names are relative, with slashes; whoever reads one gets all of it or an error."""

    name: str
    """What people call it: the folder, or ``s3://bucket/prefix``."""

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """Keep what *pieces* give as *name*. Killed half-way, there is no such file.

        Raises:
            BackupUnavailable: It cannot be written.
            DiskFull: There is no room.
        """

    def read(self, name: str) -> Iterator[bytes]:
        """The bytes of *name*, piece by piece.

        Raises:
            BackupDamaged: There is no such file.
            BackupUnavailable: It cannot be read.
        """

    def size(self, name: str) -> int | None:
        """Bytes of *name*; None where there is no such file."""

    def names(self, under: str = "") -> Iterator[str]:
        """The files below the folder *under*, in no order."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that are not there are no error."""

    def settle(self) -> None:
        """See that what was written survives a power cut."""

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes here inside of the block.

        Raises:
            Conflict: Somebody does.
        """
        yield


class Folder:
    """See :class:`Destination`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.name = str(self.path)
        self._touched: set[Path] = set()

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """Beside its place first; synchronised, then renamed."""
        place, digest, size = self.path / name, hashlib.sha256(), 0
        draft = self.path / _PARTIAL / secrets.token_hex(12)
        with self._writing(name):
            _make(draft.parent)
            _make(place.parent)
            try:
                with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    for piece in pieces:
                        digest.update(piece)
                        size += len(piece)
                        file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(place)
            finally:
                draft.unlink(missing_ok=True)
        self._touched.add(place.parent)
        return Written(size, digest.hexdigest())

    def read(self, name: str) -> Iterator[bytes]:
        """As it lies there."""
        try:
            with (self.path / name).open("rb") as file:
                while piece := file.read(_READ_BYTES):
                    yield piece
        except (FileNotFoundError, NotADirectoryError):
            raise missing(self, name) from None
        except OSError as error:
            raise BackupUnavailable(f"{self.path / name} cannot be read: {error.strerror}.") from None

    def size(self, name: str) -> int | None:
        """As the file system says."""
        try:
            return (self.path / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BackupUnavailable(f"{self.path / name} cannot be read: {error.strerror}.") from None

    def names(self, under: str = "") -> Iterator[str]:
        """All but those that are being written."""
        for folder, inner, files in os.walk(self.path / under):
            if _PARTIAL in inner and Path(folder) == self.path:
                inner.remove(_PARTIAL)
            for file in files:
                if file != _LOCK:
                    yield str((Path(folder) / file).relative_to(self.path))

    def remove(self, names: Iterable[str]) -> None:
        """With the folders that are empty then."""
        for name in names:
            place = self.path / name
            with self._writing(name):
                place.unlink(missing_ok=True)
            try:
                while place.parent != self.path:
                    place = place.parent
                    place.rmdir()
            except OSError:  # It is not empty.
                self._touched.add(place)

    def settle(self) -> None:
        """The folders are synchronised; the files are already."""
        folders = {
            parent for each in self._touched for parent in (each, *each.parents) if parent.is_relative_to(self.path)
        }
        for folder in folders:
            if folder.is_dir():
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        self._touched.clear()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """By a lock on a file, which goes with its process. What a killed one has left half-written is removed."""
        with self._writing(_LOCK):
            _make(self.path)
            descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy(self) from None
            for left in (self.path / _PARTIAL).glob("*"):
                left.unlink()
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno == _NO_ROOM:
                raise DiskFull(
                    f"There is no room for the backup in {self.path}. Free some, or keep fewer backups."
                ) from None
            raise BackupUnavailable(f"{self.path / name} cannot be written: {error.strerror}.") from None


def missing(where: Destination, name: str) -> BackupDamaged:
    """What is said where a file is not there that should be."""
    return BackupDamaged(f"{where.name} has no {name}.")


def busy(where: Destination) -> Conflict:
    """What is said where somebody else writes."""
    return Conflict(f"Another backup is being written to {where.name}. Try again when it has ended.")


def _make(folder: Path) -> None:
    """Make a folder and those above it that are not there, for their owner alone."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
