"""Processes started, watched and ended. Each is a child of the main thread, with no shell between.

A child gets SIGTERM when its parent dies, whatever killed it (PR_SET_PDEATHSIG), and has a session of its own: Ctrl-C
reaches only the parent, which ends its children in order.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from services.errors import CannotStart, ColegaError

_PR_SET_PDEATHSIG = 1
_AUTOGROUP = Path("/proc/self/autogroup")
_TRIES, _TRY_AGAIN_S = 20, 0.11
_LIBC = ctypes.CDLL(None, use_errno=True)  # Loaded here: between fork and exec nothing may be looked up.
_LOG_BYTES, _LOGS_KEPT = 10_000_000, 3
_POLL_S = 0.03
_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to see that it works."""

    name: str
    """Also the name of its log file."""
    argv: Sequence[str | Path]
    environment: Mapping[str, str]
    """All of it; nothing is inherited."""
    is_ready: Callable[[], bool] = lambda: True
    """A real operation; False or an error of ours means not yet."""
    ready_within_s: float = 30.0
    end_within_s: float = 10.0
    """After SIGTERM; then its whole process group is killed."""
    nice: int = 0
    folder: Path | None = None


@dataclass(slots=True)
class Child:
    """One program, running or not. Start it from the main thread: the parent-death signal belongs to a thread."""

    program: Program
    logs: Path
    """Folder of the log files."""
    inherited: Sequence[int] = ()
    """File descriptors that it and its own children keep open."""
    started_at: float = 0.0
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.logs / f"{self.program.name}.log"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it ended; negative: by that signal; None before."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it, without waiting until it is ready.

        Raises:
            CannotStart: There is no such program.
        """
        assert threading.current_thread() is threading.main_thread()
        self.started_at = time.monotonic()
        with _log_file(self.log) as log:
            try:
                self._process = subprocess.Popen(
                    [str(part) for part in self.program.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=dict(self.program.environment),
                    cwd=self.program.folder,
                    start_new_session=True,
                    pass_fds=tuple(self.inherited),
                    preexec_fn=_in_child(os.getpid(), self.program.nice),  # noqa: PLW1509 - started from a single thread.
                )
            except OSError as error:
                raise CannotStart(f"{self.program.name} cannot be started: {error.strerror}.") from None

    def check_ended_well(self) -> None:
        """See that it has ended with status 0.

        Raises:
            CannotStart: It has not; what it said last is repeated.
        """
        if self.exit_status != 0:
            raise CannotStart(self.last_words())

    def ready(self) -> bool:
        """Whether it works now.

        Raises:
            CannotStart: It has ended, or its time to get ready is over.
        """
        if not self.is_running:
            raise CannotStart(self.last_words())
        try:
            if self.program.is_ready():
                return True
        except CannotStart:
            raise
        except ColegaError:
            pass
        if time.monotonic() - self.started_at > self.program.ready_within_s:
            raise CannotStart(f"{self.program.name} did not get ready in time. See {self.log}.")
        return False

    def terminate(self) -> None:
        """Ask it to end, without waiting."""
        if self._process is not None and self.is_running:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all of its process group now."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def last_words(self) -> str:
        """That it has ended, and the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join([f"{self.program.name} has ended ({self.exit_status}). {self.log} says at its end:", *lines])


def wait_ready(children: Iterable[Child], tick: Callable[[], None] = lambda: None) -> None:
    """Wait until all of *children* work; *tick* is called between looks, and may raise to stop the waiting.

    Raises:
        CannotStart: One has ended or did not get ready in its time.
    """
    waiting = list(children)
    while waiting := [child for child in waiting if not child.ready()]:
        tick()
        time.sleep(_POLL_S)


def end(children: Sequence[Child]) -> None:
    """End *children* together: SIGTERM, and SIGKILL to the whole group of each that takes too long."""
    for child in children:
        child.terminate()
    asked_at = time.monotonic()
    for child in children:
        while child.is_running and time.monotonic() - asked_at < child.program.end_within_s:
            time.sleep(_POLL_S)
    for child in children:
        child.kill()  # Also what the ended ones have left behind in their groups.


def _in_child(parent: int, nice: int) -> Callable[[], None]:
    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # It died before the line above.
            os._exit(1)
        if nice:
            _give_way(nice)

    return prepare


def _give_way(nice: int) -> None:
    """Make this process, which leads a session, as nice as that.

    Where the kernel groups processes by session (autogroups), a niceness counts within the session only, and the group has one
    of its own, which is set to half: beside searches that want every core an import goes on with half and as good as stands
    still with all of it; with none, searches take twice their time beside a rebuild (docs/rebuild.md, "Measured").
    """
    os.nice(nice)
    for _ in range(_TRIES):
        try:
            _AUTOGROUP.write_text(str(nice // 2), "ascii")
        except BlockingIOError:  # All ordinary users together may do so ten times a second.
            time.sleep(_TRY_AGAIN_S)
        except OSError:
            return  # This kernel has no such groups.
        else:
            return


def _log_file(path: Path) -> IO[bytes]:
    """Open for appending; a log that has grown large is put aside first, the oldest of them dropped."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if is_large(path):
        older = _older(path)
        for newer, old in reversed(list(itertools.pairwise([path, *older]))):
            if newer.exists():
                newer.replace(old)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def is_large(log: Path) -> bool:
    """Whether a log is to be put aside."""
    return log.exists() and log.stat().st_size > _LOG_BYTES


def put_aside(log: Path) -> None:
    """Put a log aside that is being written: copied and emptied, for who writes appends. A line that comes in between is lost."""
    older = _older(log)
    for newer, old in reversed(list(itertools.pairwise(older))):
        if newer.exists():
            newer.replace(old)
    shutil.copyfile(log, older[0])
    older[0].chmod(0o600)
    os.truncate(log, 0)


def _older(log: Path) -> list[Path]:
    """Where logs are put aside, the youngest first."""
    return [log.with_name(f"{log.name}.{number}") for number in range(1, _LOGS_KEPT + 1)]
