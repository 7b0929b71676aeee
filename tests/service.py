"""The whole service as a person starts it: ``colega up`` in a clean environment."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from services.local.instance import Instance
from services.local.lock import FILE_NAME, Process, holders
from tests import default_model

SERVING = "serving; Ctrl-C ends it"


class Service:
    """One service over one folder; ends with the ``with`` block, and can be started again before that."""

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        is_new: bool = False,
    ) -> None:
        """Over *data*; one that *is_new* makes its model itself, as that of a new user does."""
        self.data = data
        self.said: list[str] = []
        """What it said on standard output since the last start."""
        self._workers, self._is_new = workers, is_new
        self._environment = {"PATH": os.defpath, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None and self._process.poll() is None:
            self.end()

    def start(self, *arguments: str) -> Self:
        """Start it, and wait until it serves and has imported what it was told to.

        Args:
            arguments: More for ``colega up``: ``--photos DIR``, ``--port N``.
        """
        if not self._is_new:
            default_model.put(self.data / "models")
        self._process = self.launch(*arguments)
        assert self._process.stdout is not None
        self.said = []
        for line in self._process.stdout:
            self.said.append(line.rstrip("\n"))
            if self.said[-1] == SERVING:
                return self
        status = self._process.wait()
        raise AssertionError("\n".join([f"colega up has ended with {status}", *self.said]))

    def launch(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start another one over the same folder and do not wait for it; the caller reaps it."""
        command = [sys.executable, "-m", "services.cli.main", "up", "--data", str(self.data)]
        return subprocess.Popen(
            [*command, "--workers", str(self._workers), *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def instance(self) -> Instance:
        """Where it is and its key."""
        return Instance.read(self.data)

    @property
    def url(self) -> str:
        """Of the gateway."""
        assert self.instance.url is not None
        return self.instance.url

    @property
    def api_key(self) -> str:
        """One that may do everything."""
        assert self.instance.api_key is not None
        return self.instance.api_key

    @property
    def supervisor(self) -> int:
        """The process id of ``colega up``."""
        assert self._process is not None
        return self._process.pid

    def client(self) -> httpx.Client:
        """Of the HTTP interface, with the key."""
        return httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=30, trust_env=False
        )

    def colega(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a ``colega`` command from a second shell."""
        return subprocess.run(
            [sys.executable, "-m", "services.cli.main", *arguments],
            env=self._environment | {"COLEGA_DATA": str(self.data)},
            capture_output=True,
            text=True,
            check=False,
        )

    def processes(self) -> list[Process]:
        """All that run on its behalf, its supervisor included."""
        return list(holders(self.data / FILE_NAME))

    def kill(self) -> None:
        """SIGKILL to ``colega up``, and to nothing else."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def end(self, number: int = signal.SIGINT) -> int:
        """Ask it to end as Ctrl-C does, and wait. Returns the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        out, _ = self._process.communicate()
        self.said += out.splitlines()
        return self._process.returncode
