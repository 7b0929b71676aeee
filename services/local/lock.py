"""One service a folder: ``DATA/lock``, held by the supervisor and by every process it starts.

A child inherits the open file, and with it the lock, so the folder is free only when all of them are gone. What the
file says is who holds it, and whether the last one ended in order.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.errors import CannotStart
from services.process_starts import started_at

FILE_NAME = "lock"
LEFTOVERS_WITHIN_S = 20.0
_UNSETTLED = "an unclean stop\n"
"""In place of who holds it: nobody does, and the photos taken last were not read back yet."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Process:
    """A process and what it is called."""

    pid: int
    command: str


class Lock:
    """The lock on a folder, held from :meth:`take` until every process that inherited :attr:`descriptor` has ended."""

    def __init__(self, descriptor: int, path: Path, *, died_at: float | None) -> None:
        self.descriptor = descriptor
        self.path = path
        self.died_at = died_at
        """When the supervisor before this one was last seen alive, if it did not end in order; else None."""
        self._owed = died_at is not None
        self._keep_time()

    @classmethod
    def take(cls, data: Path, leftovers_within_s: float = LEFTOVERS_WITHIN_S) -> "Lock":
        """Hold *data*. Processes that a killed supervisor left are waited for.

        Raises:
            CannotStart: Another supervisor is alive, or its processes did not end in time; the sentence names them.
        """
        path = data / FILE_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _wait_for(descriptor, path, leftovers_within_s)
        except BaseException:
            os.close(descriptor)
            raise
        died_at = os.fstat(descriptor).st_mtime if os.fstat(descriptor).st_size else None
        _write(descriptor, f"{os.getpid()} {started_at(os.getpid())}\n")
        return cls(descriptor, path, died_at=died_at)

    def beat(self) -> None:
        """Note that the supervisor is alive, for the start after a power cut."""
        if not self._owed:
            os.utime(self.descriptor)

    def settled(self) -> None:
        """What an unclean stop asks for was done; until then the next start is told of it as this one was."""
        self._owed = False
        self.beat()

    def release(self) -> None:
        """Say that everything ended in order, unless something is still owed to a stop that was not, and let go."""
        _write(self.descriptor, _UNSETTLED if self._owed else "")
        self._keep_time()
        os.close(self.descriptor)

    def _keep_time(self) -> None:
        if self._owed and self.died_at is not None:
            os.utime(self.descriptor, (self.died_at, self.died_at))


def holders(path: Path) -> Iterator[Process]:
    """The processes that share the lock on *path*, this one left out; only those that this user may look at.

    One that has the file open only to wait for the lock is none of them.
    """
    try:
        wanted = path.stat()
    except FileNotFoundError:
        return
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError):  # It ended, or is another user's.
            if any(_is_file(link, wanted) and _is_locked(link) for link in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                yield Process(pid, b" ".join(words[:40]).decode(errors="replace").strip())


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for(descriptor: int, path: Path, within_s: float) -> None:
    give_up_at = time.monotonic() + within_s
    while not _flock(descriptor):
        if (supervisor := _supervisor(descriptor)) is not None:
            raise CannotStart(f"{path.parent} is in use: the service runs already, with process id {supervisor}.")
        if time.monotonic() > give_up_at:
            raise CannotStart(_still_there(path))
        time.sleep(_POLL_S)


def _supervisor(descriptor: int) -> int | None:
    """The process id in the file, if it is still the process that wrote it."""
    words = os.pread(descriptor, 100, 0).decode(errors="replace").split()
    if len(words) == 2 and words[0].isdigit() and words[1] == started_at(int(words[0])):
        return int(words[0])
    return None


def _still_there(path: Path) -> str:
    left = list(holders(path))
    named = "; ".join(f"{process.pid} ({process.command[:100]})" for process in left) or "processes of another user"
    return f"{path.parent} is still held by what an earlier start left: {named}. End them, then start again."


def _is_file(link: Path, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        found = link.stat()
        return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)
    return False


def _is_locked(link: Path) -> bool:
    """Whether it is through this descriptor, or the one that it was inherited from, that the lock is held."""
    with contextlib.suppress(OSError):
        return "FLOCK" in (link.parents[1] / "fdinfo" / link.name).read_text(encoding="utf-8")
    return False


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)
    os.fsync(descriptor)
