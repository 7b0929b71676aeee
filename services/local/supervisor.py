"""Children in order: started, started again when they end, and ended together with the supervisor."""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from services.errors import ColegaError
from services.local import processes
from services.local.lock import Lock
from services.local.processes import Child, Program

_BEAT_S = 2.0
_TICK_S = 0.1
_LOGS_EVERY_S = 60.0
_STEADY_S = 60.0  # A child that ran this long starts again at once when it ends.
_LONGEST_PAUSE_S = 30.0
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(ColegaError):
    """Somebody asked the service to end: not a failure."""


class Supervisor:
    """Everything that runs on behalf of one data folder. Use it in a ``with`` block, from the main thread.

    Leaving the block, for whatever reason, ends all children in order and frees the folder.
    """

    def __init__(self, data: Path, say: Callable[[str], None]) -> None:
        self.lock = Lock.take(data)
        self._logs = data / "logs"
        self._say = say
        self._groups: list[list[Child]] = []
        self._first_to_end: list[list[Child]] = []
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._beaten_at = 0.0
        self._logs_seen_at = time.monotonic()
        self._stop_asked = False
        self._handlers = {number: signal.getsignal(number) for number in _STOPPING}
        self._sentinel = subprocess.Popen(
            [sys.executable, "-m", "services.local.sentinel", str(self.lock.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(self.lock.descriptor,),
        )

    def __enter__(self) -> Self:
        for number in _STOPPING:
            signal.signal(number, self._asked_to_stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for group in [*self._first_to_end, *reversed(self._groups)]:
            processes.end(group)
        self.lock.release()
        assert self._sentinel.stdin is not None
        self._sentinel.stdin.close()
        self._sentinel.wait()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def start(self, *programs: Program, ends_first: bool = False) -> list[Child]:
        """Start *programs* as one group, without waiting until they are ready.

        Groups end in the opposite order, but for those that are told to end first, whenever they were started.

        Raises:
            CannotStart: One of them is not there.
        """
        group = [self._child(program) for program in programs]
        self._groups.append(group)
        if ends_first:
            self._first_to_end.append(group)
        for child in group:
            child.start()
        return group

    def begin(self, program: Program) -> Child:
        """Start a step that ends by itself, without waiting; :meth:`finish` waits."""
        child = self._child(program)
        child.start()
        self._groups.append([child])
        return child

    def finish(self, step: Child) -> None:
        """Wait until *step* has ended well.

        Raises:
            CannotStart: It failed.
            Stopped: Somebody asked for the end.
        """
        while step.is_running:
            self.tick()
            time.sleep(_TICK_S / 4)
        self._groups.remove([step])
        step.check_ended_well()

    def wait_ready(self, children: Iterable[Child]) -> None:
        """Wait until *children* work.

        Raises:
            CannotStart: One of them does not get there.
            Stopped: Somebody asked for the end.
        """
        processes.wait_ready(children, self.tick)

    def tick(self) -> None:
        """What is to be done all the time.

        Raises:
            Stopped: Somebody asked for the end.
        """
        if self._stop_asked:
            raise Stopped("The service was asked to end.")
        if time.monotonic() - self._beaten_at > _BEAT_S:
            self._beaten_at = time.monotonic()
            self.lock.beat()

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Start again what ends, each time after a longer pause, until *until* says so or somebody asks for the end.

        Raises:
            Stopped: Somebody asked for the end.
        """
        while not until():
            self.tick()
            for group in self._groups:
                for child in group:
                    self._see_to(child)
            self._put_logs_aside()
            time.sleep(_TICK_S)

    def _put_logs_aside(self) -> None:
        """See, once a minute, that no log fills the disk."""
        if time.monotonic() - self._logs_seen_at < _LOGS_EVERY_S:
            return
        self._logs_seen_at = time.monotonic()
        for child in itertools.chain.from_iterable(self._groups):
            if processes.is_large(child.log):
                processes.put_aside(child.log)

    def _see_to(self, child: Child) -> None:
        name = child.program.name
        if child.is_running:
            return
        if name in self._due:
            if time.monotonic() >= self._due[name]:
                del self._due[name]
                child.start()
            return
        child.kill()  # What it has left behind would stand in the way of the next.
        steady = time.monotonic() - child.started_at > _STEADY_S
        pause = 0.5 if steady else min(2 * self._pauses.get(name, 0.25), _LONGEST_PAUSE_S)
        self._pauses[name] = pause
        self._due[name] = time.monotonic() + pause
        self._say(f"{name} has ended ({child.exit_status}) and is started again; see {child.log}")

    def _child(self, program: Program) -> Child:
        return Child(program, self._logs, inherited=(self.lock.descriptor,))

    def _asked_to_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop_asked = True
