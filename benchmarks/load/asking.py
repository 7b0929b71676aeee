"""Locust run at a rate for a while, and what came of it."""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np

from benchmarks.datasets import Labelled
from benchmarks.machine import Row
from benchmarks.running import Service

_LONGEST_S = 6.0
"""So long a request may take before its user is late for the next: so many users are there."""
_FEWEST_USERS = 20
_REFUSED = {429, 503}
_ENDS_WITHIN_S = 900.0
_QUERIES = 200
_WITH_US = ["setpriv", "--pdeathsig", "TERM"]
"""Nobody goes on asking when this process is gone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What requests of all kinds took, and how they ended."""

    lines: Sequence[dict[str, Any]]
    took_s: float
    without_retry_after: int
    client_cores: float
    """Locust's own processor time, in cores."""

    @property
    def kinds(self) -> list[str]:
        """What was asked."""
        return sorted({line["kind"] for line in self.lines})

    @property
    def rate(self) -> float:
        """Requests a second that were sent."""
        return len(self.lines) / self.took_s

    @property
    def errors(self) -> int:
        """Requests that were neither answered nor refused in order."""
        return sum(not (200 <= line["status"] < 300 or line["status"] in _REFUSED) for line in self.lines)

    def refused(self, kind: str) -> int:
        """How many were sent away for a while."""
        return sum(line["status"] in _REFUSED for line in self.lines if line["kind"] == kind)

    def within(self, kind: str, limit_ms: float) -> float:
        """The share of requests of a kind that were answered, and in time."""
        mine = [line for line in self.lines if line["kind"] == kind]
        return sum(bool(200 <= line["status"] < 300 and line["ms"] < limit_ms) for line in mine) / max(len(mine), 1)

    def p50(self, kind: str) -> float:
        """Median of the accepted, in ms."""
        return self._percentile(kind, 50)

    def p99(self, kind: str) -> float:
        """99th percentile of the accepted, in ms."""
        return self._percentile(kind, 99)

    @property
    def last_at(self) -> float:
        """When the last request was sent, seconds since the epoch."""
        return float(max(line["at"] for line in self.lines))

    def until(self, at: float) -> "Asked":
        """What was asked until *at*."""
        first = min(line["at"] for line in self.lines)
        return replace(self, lines=[line for line in self.lines if line["at"] <= at], took_s=at - first)

    def beside(self, other: "Asked") -> "Asked":
        """Both together, as one."""
        without = self.without_retry_after + other.without_retry_after
        cores = self.client_cores + other.client_cores
        return Asked([*self.lines, *other.lines], max(self.took_s, other.took_s), without, cores)

    def well_after_s(self, at: float, limit_ms: float) -> float:
        """How long after *at* the last request was sent that was refused, or that took longer than *limit_ms*."""
        bad = [line["at"] for line in self.lines if line["status"] in _REFUSED or line["ms"] > limit_ms]
        return float(max([*bad, at]) - at)

    def _percentile(self, kind: str, percent: float) -> float:
        taken = [line["ms"] for line in self.lines if line["kind"] == kind and 200 <= line["status"] < 300]
        return float(np.percentile(taken, percent)) if taken else float("nan")


@dataclass
class Load:
    """Load on one service, by people of one set of photos and newcomers of another."""

    service: Service
    gallery: Labelled
    newcomers: Sequence[Path]
    jobs: list[str] = field(default_factory=list)
    """Of all who were taken in."""
    people: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _ended: int = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="colega-load-"))
        chosen: dict[int, list[Path]] = {}
        for path, person in zip(self.gallery.photos, self.gallery.people.tolist(), strict=True):
            chosen.setdefault(person, []).append(path)
        some = [paths for paths in chosen.values() if len(paths) > 1][:_QUERIES]
        self.people = len(some)
        for folder, paths in (
            ("gallery", [(p.parent.name, p) for p, *_ in some]),
            ("queries", [("", p[1]) for p in some]),
            ("newcomers", [("", p) for p in self.newcomers]),
        ):
            for number, (person, path) in enumerate(paths):
                to = self._folder / folder / person
                to.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, to / f"{number}.jpg")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def enrol(self) -> None:
        """Enrol those who are searched for."""
        colega = Path(sys.executable).parent / "colega"
        subprocess.run(
            [str(colega), "import", str(self._folder / "gallery"), "--json"],
            env=self.service.environment(), check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def at(self, rate: float, for_s: float) -> Asked:
        """Ask *rate* requests a second for *for_s* seconds; then wait until all who were taken in are found."""
        asked = self.begin(rate, for_s).end()
        self._wait()
        return asked

    def begin(self, rate: float, for_s: float) -> "Asking":
        """Begin to ask, beside whatever else is asked."""
        users = max(int(rate * _LONGEST_S), _FEWEST_USERS)
        out, instance = self._folder / f"requests-{next(self._numbers)}.jsonl", self.service.instance()
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self._folder), "LOAD_RATE": str(rate), "LOAD_USERS": str(users),
            "LOAD_KEY": instance["api_key"], "LOAD_OUT": str(out), "LOAD_QUERIES": str(self._folder / "queries"),
            "LOAD_NEWCOMERS": str(self._folder / "newcomers"),
        }  # fmt: skip
        users_file = Path(__file__).with_name("users.py")
        command = [
            sys.executable, "-m", "locust", "-f", str(users_file), "--headless", "--host", instance["url"],
            "--users", str(users), "--spawn-rate", str(users), "--run-time", f"{for_s:.0f}s",
            "--only-summary", "--skip-log", "--stop-timeout", "30",
        ]  # fmt: skip
        return Asking(command, environment, out, for_s, self.jobs)

    def lost(self) -> list[Row]:
        """Of those who were acknowledged, how many were not taken in."""
        self._wait()
        with self.service.client() as client:
            ends = [client.get(f"/v1/jobs/{job}").json() for job in self.jobs]
        done = sum(end["done"] + end["duplicate"] + end["rejected"] for end in ends)
        case = "all of it"
        return [
            Row(case, "enrolments acknowledged", len(ends)),
            Row(case, "of those lost", len(ends) - done),
            Row(case, "rejected: no face found", sum(end["rejected"] for end in ends)),
        ]

    def _wait(self) -> None:
        give_up_at = time.monotonic() + _ENDS_WITHIN_S
        with self.service.client() as client:
            for job in self.jobs[self._ended :]:
                while time.monotonic() < give_up_at and not _has_ended(client, job):
                    time.sleep(0.2)
        self._ended = len(self.jobs)


class Asking:
    """A Locust that is asking."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], out: Path, for_s: float, jobs: list[str]
    ) -> None:
        self._out, self._for_s, self._jobs = out, for_s, jobs
        self._began = time.monotonic()
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self) -> Asked:
        """Wait until it has ended, and note the jobs of all who were taken in."""
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        took_s = time.monotonic() - self._began
        lines = [json.loads(line) for line in self._out.read_text("utf-8").splitlines()]
        self._jobs += [line["job"] for line in lines if "job" in line]
        asked = [line for line in lines if "kind" in line]
        without = sum("without" in line for line in lines)
        return Asked(asked, self._for_s, without, (used.ru_utime + used.ru_stime) / took_s)


def _has_ended(client: httpx.Client, job: str) -> bool:
    return bool(client.get(f"/v1/jobs/{job}").json()["state"] in {"done", "failed", "cancelled"})
