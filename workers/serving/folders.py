"""Folders of processes: several searchers may share a data folder, and none may write into another's."""

import fcntl
import os
import re
import shutil
import time
from collections.abc import Set as AbstractSet
from pathlib import Path

from services.errors import CannotStart

_MOST = 64
_UNUSED_S = 3600.0
_NAME = re.compile(r"(?P<collection>\d+)-(?:g(?P<generation>\d+)|\d+)")
"""A folder with a number alone was made for a model, before there were generations: it belongs to none."""


class OwnFolder:
    """The first of *root*/0, *root*/1, … that no living process holds, held until this process ends.

    The same one is found again after a restart, with what it has.

    Raises:
        CannotStart: The folder cannot be written.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(_MOST):
                self.path = root / str(number)
                self.path.mkdir(exist_ok=True, mode=0o700)
                handle = os.open(self.path, os.O_RDONLY)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    continue
                self._handle = handle
                for path in self.path.rglob("*"):  # Of a version that left that to the folders above.
                    path.chmod(0o700 if path.is_dir() else 0o600)
                self._began = time.time()
                return
        except OSError as error:
            raise CannotStart(f"{root} cannot be written: {error.strerror}. See COLEGA_DATA.") from error
        raise CannotStart(f"{_MOST} searchers hold all folders of {root}.")

    def of(self, collection: int, generation: int) -> Path:
        """Where the files of a replica lie."""
        return self.path / f"{collection}-g{generation}"

    def forget(self, collection: int, in_use: AbstractSet[tuple[int, int]]) -> int:
        """Remove what lies here, and in folders that no living process holds, of a collection's generations not *in_use*.

        Returns:
            How many folders were removed.
        """
        kept = {self.of(*key) for key in in_use}
        found = [folder for folder in self.path.glob(f"{collection}-*") if folder not in kept]
        for other in self.path.parent.iterdir():
            if other != self.path and other.name.isdecimal() and any(other.glob(f"{collection}-*")):
                found += self._left_in(other, collection)
        for folder in found:
            shutil.rmtree(folder, ignore_errors=True)
        return len(found)

    def _left_in(self, other: Path, collection: int) -> list[Path]:
        """The folders of a collection that are gone now from *other*, which nobody held."""
        handle = os.open(other, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = list(other.glob(f"{collection}-*"))
            for folder in found:
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            return []  # Its searcher sees to it.
        finally:
            os.close(handle)
        return found

    def sweep(self, in_use: AbstractSet[tuple[int, int]], kept: AbstractSet[tuple[int, int]]) -> None:
        """Remove what lies here of generations that are gone, and of those that nobody has asked for in an hour.

        A face that is removed leaves what is in use; what is not in use must not keep it.

        Args:
            in_use: Collection and generation of what this process reads or writes.
            kept: All that searches may look in.
        """
        now = time.time()
        for folder in self.path.iterdir():
            match = _NAME.fullmatch(folder.name)
            if match is None:
                continue
            key = int(match["collection"]), int(match["generation"] or 0)
            if key in in_use:
                os.utime(folder)
            elif key not in kept or now - max(folder.stat().st_mtime, self._began) > _UNUSED_S:
                shutil.rmtree(folder, ignore_errors=True)
