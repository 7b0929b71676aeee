"""Entries: the files of a directory or an archive, each with its path inside and a way to read it; hostile ones refused.

Standard library only. Nothing is ever extracted to a path that an archive names.
"""

import io
import itertools
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from services.errors import PhotoRefused
from services.rejections import Rejection
from services.sources.inflating import Bounded, Inflated, is_compressed

MANIFEST = "manifest.csv"
_SYSTEM_NAMES = {
    "thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db", "icon\r", "lost+found", "$recycle.bin",
    "system volume information",
}  # fmt: skip
_DEEPEST = 32
_LONGEST_PATH = 1000
_LONGEST_HEADER = 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Of the others ``zipfile`` unpacks all at once, however much that is."""
_HEADERS_BYTES = 2048
"""Of a tar, for each entry on average."""
_FOLDERS_AN_ENTRY = 4
_ANY_RATIO_BYTES = 64 * 2**20
_DIRECTORY_BYTES = 512
"""Of a zip's directory, for each entry on average: what is longer lists more entries than it may, or names longer than any."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may ask of who reads it. What it claims does not count; what is read does."""

    entries: int = 10_000
    entry_bytes: int = 20 * 2**20
    total_bytes: int = 64 * 2**30
    ratio: int = 100
    """So many times its own size an archive may unpack to, beyond the first 64 MB."""

    def unpacked_bytes(self, archive_bytes: int) -> int:
        """What an archive of that size may unpack to, whether that is read or passed over."""
        return min(self.total_bytes, max(_ANY_RATIO_BYTES, archive_bytes * self.ratio))

    @property
    def at_once(self) -> int:
        """The most that is read of a tar at once: an entry, or the header of one."""
        return self.entry_bytes + _LONGEST_HEADER


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
        with _zip(source, limits) as archive:
            yield _of_zip(archive, replace(limits, total_bytes=limits.unpacked_bytes(source.stat().st_size)))
    else:
        with _tar(source, limits) as archive:
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
        try:
            entry = _of_path(folder, path, name, limits)
        except (OSError, RuntimeError) as error:
            # It has gone meanwhile, may not be looked at, or is a link in a circle.
            why = f"It cannot be looked at: {getattr(error, 'strerror', None) or 'a link in a circle'}."
            entry = Entry(name, _nothing, PhotoRefused(Rejection.MISSING_FILE, why))
        if entry is not None:
            yield entry


def _of_path(folder: Path, path: Path, name: str, limits: Limits) -> Entry | None:
    if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(folder.resolve())):
        return Entry(name, _nothing, PhotoRefused(Rejection.UNSAFE_PATH, "A link that leads out of the folder."))
    if path.is_dir():
        return None
    if not path.is_file():
        return Entry(name, _nothing, PhotoRefused(Rejection.UNSAFE_PATH, "No plain file."))
    return Entry(name, _reader(_opener(path), limits.entry_bytes, path.stat().st_size), judged(name))


@contextmanager
def _zip(source: Path, limits: Limits) -> Iterator[zipfile.ZipFile]:
    file = Bounded(source, limits.entries * _DIRECTORY_BYTES + _LONGEST_HEADER)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, UnicodeDecodeError, OSError, ValueError, NotImplementedError) as error:
        file.close()
        raise _damaged(error) from error
    with file, archive:
        file.at_once = limits.at_once
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
        if refused is None and info.compress_type not in _METHODS:
            refused = PhotoRefused(
                Rejection.BAD_ARCHIVE, "The entry is packed by a method that is not taken; use deflate."
            )
        yield Entry(info.filename, read.reader(lambda info=info: archive.open(info)), refused)  # type: ignore[misc]


def _overlap(found: list[zipfile.ZipInfo]) -> bool:
    """Whether entries share bytes of the archive, as those of a bomb do; each needs its compressed size for itself."""
    places = sorted((info.header_offset, info.compress_size) for info in found)
    return any(start + size > after for (start, size), (after, _) in itertools.pairwise(places))


@contextmanager
def _tar(source: Path, limits: Limits) -> Iterator[tarfile.TarFile]:
    with source.open("rb") as begun:
        head = begun.read(8)
    if is_compressed(head):
        most_bytes = limits.unpacked_bytes(source.stat().st_size) + limits.entries * _HEADERS_BYTES + _LONGEST_HEADER
        unpacked: io.RawIOBase = Inflated(source, most_bytes, limits.at_once)
    else:
        unpacked = Bounded(source, limits.at_once)
    with unpacked:
        try:
            archive = tarfile.open(fileobj=unpacked, mode="r:")  # noqa: SIM115 - Closed below.
        except PhotoRefused:
            raise
        except Exception as error:  # What tarfile makes of nonsense has no root.
            raise _damaged(error) from error
        with archive:
            yield archive


def _of_tar(archive: tarfile.TarFile, limits: Limits) -> Iterator[Entry]:
    """In the archive's own order: a compressed tar can only be read forward."""
    read, count, folders, place = _Total(limits), 0, 0, -1
    while True:
        try:
            member = archive.next()
        except PhotoRefused:
            raise
        except Exception as error:
            raise _damaged(error) from error
        if member is None:
            return
        if member.offset_data <= place or member.size < 0:
            raise PhotoRefused(Rejection.BAD_ARCHIVE, "An entry of the archive lies before the one it follows.")
        place = member.offset_data
        if member.isdir():
            folders += 1
            _count(folders // _FOLDERS_AN_ENTRY, limits)
            continue
        count += 1
        _count(count, limits)
        refused = judged(member.name)
        if refused is None and (not member.isreg() or member.issparse()):
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
            most_bytes = max(0, min(self._limits.entry_bytes, left))
            try:
                data = _reader(open_it, most_bytes)()
            except PhotoRefused as refused:
                if refused.reason is Rejection.TOO_LARGE:
                    self._read_bytes += most_bytes  # It was unpacked to find that out.
                raise
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
        except PhotoRefused:
            raise
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
