"""The whole service on one machine: ``colega up``."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services import installation, tracing, trust
from services.errors import CannotStart
from services.local import ports, programs, seaweedfs, valkey
from services.local.door import Door, Wanted
from services.local.instance import WRAPPING_KEY, Instance
from services.local.programs import Given
from services.local.supervisor import Stopped, Supervisor
from services.settings.service import Environment, Telling, Tracing

_ALL_READY_WITHIN_S = 120.0
_ASIDE = {"disk", "clock"}
"""What health warns of without which everything works."""
_IMPORT_ENDS_WITHIN_S = 5.0
_READ_BACK_S = 600.0  # Of photos taken before an unclean stop.


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(data: Path, wanted: Wanted, photos: Path | None, workers: int | None) -> int:
    """Start everything, import *photos* if any are given, and serve until SIGINT or SIGTERM.

    Call it from the main thread. A folder that was used before is found again as it was left.

    Args:
        data: Where everything is kept; made if it is not there.
        wanted: Where the gateway is to listen.
        photos: What ``colega import`` takes.
        workers: Processes that compute, for searches and for photos each; None: one a core.

    Returns:
        0, when it ended because somebody asked.

    Raises:
        BadCertificate: What it was to be reached by over TLS cannot be used.
        CannotStart: Another one uses *data*, a port is taken, what is installed cannot work, or a part does not get
            ready; everything that was started has been ended.
        InvalidSettings: A ``COLEGA_`` setting cannot be used.
    """
    os.umask(0o077)  # For every process that is started here: what they write is nobody else's.
    data = data.absolute()
    environment = Environment.of_process()
    given = Given.by(environment)
    installation.check()
    tracing.require(environment.load(Tracing))
    wanted.check()
    trust.trusting(environment.load(Telling).ca_file)
    _make(data)
    with Supervisor(data, _say) as supervisor:
        instance = Instance.read(data)
        instance.ports = ports.choose([valkey.PORT, *seaweedfs.PORTS], instance.ports)
        door = wanted.opened(data)
        instance.url, instance.certificate = door.url, None if door.certificate is None else str(door.certificate)
        service = _Service(supervisor, data, instance, given, door, _say)
        try:
            service.start(workers or len(os.sched_getaffinity(0)))
            _say(f"colega is ready: {instance.url}\nAPI key: {instance.api_key}")
            for line in door.told():
                _say(line)
            if photos is not None:
                service.take_in(photos)
            _say("serving; Ctrl-C ends it")
            supervisor.watch()
        except Stopped:
            _say("ending")
    seaweedfs.remove_sockets(instance.ports)
    return 0


@dataclass(frozen=True, slots=True)
class _Service:
    """One start of everything."""

    supervisor: Supervisor
    data: Path
    instance: Instance
    given: Given
    door: Door
    say: Callable[[str], None]

    @property
    def environment(self) -> dict[str, str]:
        return programs.environment(self.data, self.instance, self.given)

    def start(self, workers: int) -> None:
        """Start all parts, side by side where one does not need the other; return when all of them work."""
        supervisor = self.supervisor
        seaweedfs.remove_sockets(self.instance.ports)
        servers = []
        if not self.given.broker:
            password = self.instance.secret("broker_password")
            servers.append(valkey.program(self.data / "broker", self.instance.ports[valkey.PORT], password))
        if not self.given.photos:
            servers.append(seaweedfs.program(self.data / "store", self.instance))
        self.instance.write(self.data)

        started = supervisor.start(*servers)
        if not self.given.wrapping and not (self.data / WRAPPING_KEY).exists():
            self._step("wrapping-key", "services.local.wrapping_key")
            self.say(
                f"{self.data / WRAPPING_KEY} is new: whoever loses it loses all photos. Keep a copy, but not where the photos' "
                "backup is."
            )
        environment = self.environment
        first_steps = supervisor.begin(programs.one_off("first-steps", "services.local.first_steps", environment))
        supervisor.wait_ready(started)
        if not self.given.photos:
            seaweedfs.secure(self.data / "store", self.instance)
        supervisor.finish(first_steps)
        self.instance.api_key = Instance.read(self.data).api_key
        # It needs the catalog alone.
        gateway = supervisor.start(programs.gateway(environment, self.door), ends_first=True)
        if supervisor.lock.died_at is not None:
            self._read_back(time.time() - supervisor.lock.died_at)
            supervisor.lock.settled()
        self._step("prepare", "workers.tasks.prepare")
        supervisor.start(programs.searcher(environment), *programs.workers(environment, self.data, workers))
        supervisor.wait_ready(gateway)
        self._wait_for_all_parts()

    def take_in(self, photos: Path) -> None:
        """Run ``colega import`` on this terminal, while everything else is watched."""
        theirs = {"COLEGA_URL": self.door.url, "COLEGA_API_KEY": self.instance.api_key or ""}
        importing = subprocess.Popen(
            [sys.executable, "-m", "services.cli.main", "import", str(photos)],
            env=self.environment | theirs | {"TERM": os.environ.get("TERM", "dumb")},
            pass_fds=(self.supervisor.lock.descriptor,),
        )
        try:
            self.supervisor.watch(until=lambda: importing.poll() is not None)
        finally:
            if importing.poll() is None:
                importing.terminate()
                try:
                    importing.wait(_IMPORT_ENDS_WITHIN_S)
                except subprocess.TimeoutExpired:
                    importing.kill()
                    importing.wait()
        if importing.returncode not in {0, 1}:
            self.say(f"The import ended early ({importing.returncode}). Go on with it: colega import {photos}")

    def _step(self, name: str, module: str, *arguments: str) -> Path:
        step = self.supervisor.begin(programs.one_off(name, module, self.environment, *arguments))
        self.supervisor.finish(step)
        return step.log

    def _read_back(self, down_s: float) -> None:
        """After an unclean stop, see that the photos taken last are there as they came; say which are not."""
        from services.local.read_back import LOST  # noqa: PLC0415 - Brings the catalog: seldom needed in this process.

        log = self.data / "logs" / "read-back.log"
        before = log.stat().st_size if log.exists() else 0
        self._step("read-back", "services.local.read_back", f"{down_s + _READ_BACK_S:.0f}")
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(before)
            gone = [line for line in file.read().splitlines() if LOST in line]
        if gone:
            self.say(f"{len(gone)} photos taken shortly before the last stop are lost; import them again. See {log}")

    def _wait_for_all_parts(self) -> None:
        """Wait until the gateway finds all parts well; one that ends meanwhile is started again."""
        give_up_at = time.monotonic() + _ALL_READY_WITHIN_S

        def all_well() -> bool:
            found = programs.health(self.door) or {}
            states = found.get("checks")
            if isinstance(states, dict) and {s for part, s in states.items() if part not in _ASIDE} <= {"ok", "slow"}:
                return True
            if time.monotonic() > give_up_at:
                raise CannotStart(f"Not all parts get ready: {found.get('checks', 'the gateway does not answer')}.")
            return False

        self.supervisor.watch(until=all_well)


def _make(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotStart(f"{data} cannot be made: {error.strerror}.") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise CannotStart(f"{data} cannot be written by this user.")
