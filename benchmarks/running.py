"""A whole service in a folder of its own, as ``colega up`` starts it, with its processes counted by what they are."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import httpx

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Service:
    """``colega up`` in a temporary folder; ended, and the folder removed, when the ``with`` block ends."""

    def __init__(self, folder: Path | None = None, arguments: Sequence[str] = (), **settings: str) -> None:
        self.data = folder or Path(tempfile.mkdtemp(prefix="colega-bench-"))
        self._arguments, self.settings = arguments, settings
        self._mine = folder is None
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_s = 0.0
        """How long it took from the command to the first answer that says ready."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        self.end()
        if self._mine:
            shutil.rmtree(self.data, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it is ready."""
        started = time.monotonic()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data), "LC_ALL": "C.UTF-8", **self.settings}
        colega = Path(sys.executable).parent / "colega"
        self._process = subprocess.Popen(
            [str(colega), "up", "--data", str(self.data), *self._arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while time.monotonic() - started < 120:
            if self._process.poll() is not None:
                raise SystemExit(f"colega up ended with {self._process.returncode}; see {self.data}/logs.")
            try:
                answer = httpx.get(f"{self.instance()['url']}/health/ready", timeout=2)
                if answer.status_code == 200 and answer.json()["status"] == "ok":
                    break
            except (OSError, ValueError, KeyError, httpx.HTTPError):
                pass
            time.sleep(0.05)
        self.ready_s = time.monotonic() - started

    def end(self) -> None:
        """Ctrl-C."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)

    def instance(self) -> dict[str, Any]:
        """What ``instance.json`` says: URL and key among others."""
        found: dict[str, Any] = json.loads((self.data / "instance.json").read_text("utf-8"))
        return found

    def client(self, *, timeout_s: float = 60.0) -> httpx.Client:
        """An HTTP client with the service's key."""
        instance = self.instance()
        headers = {"Authorization": f"Bearer {instance['api_key']}"}
        return httpx.Client(base_url=instance["url"], headers=headers, timeout=timeout_s)

    def environment(self) -> dict[str, str]:
        """What a ``colega`` command needs to find this service."""
        instance = self.instance()
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data),
            "LC_ALL": "C.UTF-8",
            "COLEGA_URL": instance["url"],
            "COLEGA_API_KEY": instance["api_key"],
        }

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds used so far by each part: gateway, store, broker, searcher, workers, maintenance."""
        used: dict[str, float] = defaultdict(float)
        for pid, name in self.parts():
            fields = _stat(pid)
            used[name] += sum(int(fields[n]) for n in (11, 12)) / _TICKS
        return dict(used)

    def resident_mb(self) -> dict[str, list[float]]:
        """Resident memory of each process, by part, the largest first."""
        found: dict[str, list[float]] = defaultdict(list)
        for pid, name in self.parts():
            found[name].append(int(_stat(pid)[21]) * _PAGE_MB)
        return {name: sorted(sizes, reverse=True) for name, sizes in found.items()}

    def parts(self) -> list[tuple[int, str]]:
        """Every process, by id, and the part that it belongs to."""
        assert self._process is not None
        sessions: dict[int, str] = {}
        processes = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
        stats = {pid: fields for pid in processes if (fields := _stat(pid))}
        for pid, fields in stats.items():
            if int(fields[1]) == self._process.pid:
                sessions[pid] = _part(pid)
        found = [(pid, sessions[int(f[3])]) for pid, f in stats.items() if int(f[3]) in sessions]
        return [*found, (self._process.pid, "supervisor")]


def _part(pid: int) -> str:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    known = {
        "gunicorn": "gateway",
        "valkey": "broker",
        "weed": "store",
        "workers.searcher": "searcher",
        "-Q interactive": "interactive worker",
        "-Q enrol": "bulk worker",
        "-Q maintenance": "maintenance",
        "-Q training": "training worker",
    }
    return next((name for part, name in known.items() if part in command), "other")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return []
