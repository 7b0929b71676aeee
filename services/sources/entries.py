"""Entries: the files of a directory or an archive, each with its path inside and a way to read it; hostile ones refused.

Standard library only. Nothing is ever extracted to a path that an archive names.
"""

import itertools
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from services.errors import PhotoRefused, Rejection

MANIFEST = "manifest.csv"
_SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "icon\r"}
_DEEPEST = 32
_LONGEST_PATH = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask of who reads it. What it claims does not count; what is read does."""

    entries: int = 10_000
    entry_bytes: int = 20 * 2**20
    total_bytes: int = 64 * 2**30


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: a photo as far as one can tell, or why it is none."""

    path: str
    """With slashes, relative to the source."""
    read: Callable[[], bytes]
    """All its bytes; raises :class:`PhotoRefused`."""
    refused: PhotoRefused | None = None


@contextmanager
def opened(source: Path, limits: Limits | None = None) -> Iterator[Iterator[Entry]]:
    """The entries of a directory or an archive, in the order of their paths where there is one.

    Raises:
        PhotoRefused: ``bad_archive``, ``too_many_entries``, ``missing_file``: nothing of it can be read.
    """
    limits = limits or Limits()
    if source.is_dir():
        yield _of_directory(source, limits)
    elif not source.is_file():
        raise PhotoRefused(Rejection.MISSING_FILE, f"{source} is not there.")
    elif zipfile.is_zipfile(source):
        with _zip(source) as archive:
            yield _of_zip(archive, limits)
    else:
        with _tar(source) as archive:
            yield _of_tar(archive, limits)


def judged(path: str) -> PhotoRefused | None:
    """Why a file of this path is not looked at; None where it is."""
    parts = PurePosixPath(path).parts
    if (
        not parts
        or path.startswith(("/", "\\", "~"))
        or ".." in parts
        or "\\" in path
        or "\0" in path
        or (len(path) > 1 and path[1] == ":")
        or len(parts) > _DEEPEST
        or len(path) > _LONGEST_PATH
    ):
        return PhotoRefused(Rejection.UNSAFE_PATH, "The name leads out of the source, or is too deep or too long.")
    if any(part.startswith(".") or part.casefold() in _SYSTEM_NAMES for part in parts):
        return PhotoRefused(Rejection.HIDDEN_OR_SYSTEM_FILE, "A hidden file, or one that an operating system leaves.")
    return None


def _of_directory(folder: Path, limits: Limits) -> Iterator[Entry]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(folder.resolve())):
            yield Entry(name, _nothing, PhotoRefused(Rejection.UNSAFE_PATH, "A link that leads out of the folder."))
            continue
        if path.is_dir():
            continue
        if not path.is_file():
            yield Entry(name, _nothing, PhotoRefused(Rejection.UNSAFE_PATH, "No plain file."))
            continue
        size_bytes = path.stat().st_size
        yield Entry(name, _reader(_opener(path), limits.entry_bytes, size_bytes), judged(name))


@contextmanager
def _zip(source: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(error) from error
    with archive:
        yield archive


def _of_zip(archive: zipfile.ZipFile, limits: Limits) -> Iterator[Entry]:
    found = [info for info in archive.infolist() if not info.filename.endswith("/")]
    _count(len(found), limits)
    if _overlap(found):
        raise PhotoRefused(Rejection.BAD_ARCHIVE, "Entries of the archive lie over each other: a bomb.")
    read = _Total(limits)
    for info in found:
        mode = info.external_attr >> 16
        refused = judged(info.filename)
        if refused is None and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
            refused = PhotoRefused(Rejection.UNSAFE_PATH, "A link or a special file.")
        if refused is None and info.flag_bits & 0x1:
            refused = PhotoRefused(Rejection.ENCRYPTED, "The entry needs a password.")
        yield Entry(info.filename, read.reader(lambda info=info: archive.open(info)), refused)  # type: ignore[misc]


def _overlap(found: list[zipfile.ZipInfo]) -> bool:
    """Whether entries share bytes of the archive, as those of a bomb do; each needs its compressed size for itself."""
    places = sorted((info.header_offset, info.compress_size) for info in found)
    return any(start + size > after for (start, size), (after, _) in itertools.pairwise(places))


@contextmanager
def _tar(source: Path) -> Iterator[tarfile.TarFile]:
    try:
        archive = tarfile.open(source, "r:*")  # noqa: SIM115 - Closed below.
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise _damaged(error) from error
    with archive:
        yield archive


def _of_tar(archive: tarfile.TarFile, limits: Limits) -> Iterator[Entry]:
    """In the archive's own order: a compressed tar can only be read forward."""
    read, count = _Total(limits), 0
    while True:
        try:
            member = archive.next()
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise _damaged(error) from error
        if member is None:
            return
        if member.isdir():
            continue
        count += 1
        _count(count, limits)
        refused = judged(member.name)
        if refused is None and not member.isreg():
            refused = PhotoRefused(Rejection.UNSAFE_PATH, "A link or a special file.")

        def part(member: tarfile.TarInfo = member) -> IO[bytes]:
            file = archive.extractfile(member)
            assert file is not None
            return file

        yield Entry(member.name, read.reader(part), refused)


class _Total:
    """How much was read of one archive."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._read_bytes = 0

    def reader(self, open_it: Callable[[], IO[bytes]]) -> Callable[[], bytes]:
        def read() -> bytes:
            left = self._limits.total_bytes - self._read_bytes
            data = _reader(open_it, min(self._limits.entry_bytes, left))()
            self._read_bytes += len(data)
            return data

        return read


def _reader(open_it: Callable[[], IO[bytes]], most_bytes: int, size_bytes: int = 0) -> Callable[[], bytes]:
    def read() -> bytes:
        if size_bytes > most_bytes:
            raise _too_large(most_bytes)
        try:
            with open_it() as file:
                data = file.read(most_bytes + 1)
        except RuntimeError as error:  # zipfile's for a password.
            raise PhotoRefused(Rejection.ENCRYPTED, "The entry needs a password.") from error
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError, NotImplementedError) as error:
            raise _damaged(error) from error
        except Exception as error:  # zlib.error, lzma.LZMAError and their like share no root.
            raise _damaged(error) from error
        if len(data) > most_bytes:
            raise _too_large(most_bytes)
        return data

    return read


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _nothing() -> bytes:
    return b""


def _count(count: int, limits: Limits) -> None:
    if count > limits.entries:
        raise PhotoRefused(
            Rejection.TOO_MANY_ENTRIES, f"The archive has more than {limits.entries:,} entries. Split it."
        )


def _too_large(most_bytes: int) -> PhotoRefused:
    return PhotoRefused(Rejection.TOO_LARGE, f"The entry has more than {most_bytes:,} bytes.")


def _damaged(error: Exception) -> PhotoRefused:
    return PhotoRefused(Rejection.BAD_ARCHIVE, f"The archive is damaged or none: {type(error).__name__}.")
