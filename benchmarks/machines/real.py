"""One and two machines with a worker process each, pinned to a core, that import real photos while everything else runs beside them."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import func, select

from benchmarks import datasets
from benchmarks.machine import Row
from benchmarks.machines import chunks
from benchmarks.machines.deployed import Machines, machines, used
from services.catalog.schema import Item
from tests.integration.deploy.composed import Service

MACHINES = (1, 2)
_PHOTOS, _QUICK_PHOTOS = 400, 96
_KEPT = ("volumes", "postgres", "valkey", "seaweedfs", "migrate", "bucket", "prepare", "gateway", "searcher")
"""What runs beside the workers. Nothing is searched, trained or tidied up: those who would do it are left out."""

_COUNTED = ("gateway", "seaweedfs", "postgres", "valkey", "searcher", "workers", "the command")


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import."""

    photos: int
    done: int
    rate: float
    """Photos a second: see :func:`benchmarks.machines.chunks.rate`."""
    took_s: float
    cpu_s: dict[str, float]
    """By part, from the first byte sent to the end."""


def rows(*, quick: bool) -> list[Row]:
    """Import the same photos into a new service of one worker, and of two."""
    made: list[Row] = []
    first = 0.0
    for count in MACHINES:
        with machines(lambda services, count=count: _chosen(services, count)) as hosts:  # type: ignore[misc]
            hosts.run(*_KEPT, *_names(count))
            seen = _imported(hosts, count, _QUICK_PHOTOS if quick else _PHOTOS)
        first = first or seen.rate
        made += _told(count, seen, first)
    return made


def _chosen(services: dict[str, Service], count: int) -> dict[str, Service]:
    """Bulk workers, each with one process on a core of its own, and what they need."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        raise SystemExit(f"{count} workers need a core each; there are {len(cores)}.")
    bulk = services["bulk"]
    workers = {
        name: replace(bulk, name=name, argv=["taskset", "-c", str(cores[n]), *bulk.argv])
        for n, name in enumerate(_names(count))
    }
    return {name: services[name] for name in _KEPT} | workers


def _names(count: int) -> list[str]:
    return [f"workers-{n}" for n in range(1, count + 1)]


def _imported(hosts: Machines, workers: int, count: int) -> Imported:
    photos = hosts.hosts.folder / "photos"
    for path in datasets.lfw().photos[:count]:
        to = photos / path.parent.name / path.name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
    before, mine, began = hosts.cpu_s(), _children_s(), time.monotonic()
    summary = _colega(hosts, photos)
    took_s = time.monotonic() - began
    cpu_s = used(before, hosts.cpu_s()) | {"the command": _children_s() - mine}
    catalog = hosts.catalog()
    with catalog.reading() as session:
        job = session.scalar(select(func.max(Item.job_id)))
    ended = chunks.of_job(catalog, job or 0)
    catalog.close()
    photos_ended = sum(chunk.photos for chunk in ended)
    if photos_ended != count:
        raise SystemExit(f"{photos_ended} of {count} photos have ended: {summary}")
    return Imported(count, int(str(summary["done"])), chunks.rate(ended, workers), took_s, cpu_s)


def _colega(hosts: Machines, photos: Path) -> dict[str, object]:
    environment = {
        "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(hosts.hosts.folder),
        "COLEGA_URL": f"http://127.0.0.1:{hosts.ports['gateway']}", "COLEGA_API_KEY": hosts.secret("bootstrap_key"),
    }  # fmt: skip
    command = [sys.executable, "-m", "services.cli.main", "import", str(photos), "--json"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode not in {0, 1}:
        raise SystemExit(f"colega import ended with {done.returncode}: {done.stderr}")
    summary: dict[str, object] = json.loads(done.stdout)
    return summary


def _children_s() -> float:
    """CPU seconds of processes started here that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _told(count: int, seen: Imported, first: float) -> list[Row]:
    case = f"{count} machine{'s' if count > 1 else ''}, {count} worker process{'es' if count > 1 else ''}"
    return [
        Row(case, "photos", seen.photos),
        Row(case, "of those done", seen.done),
        Row(case, "photos/s", seen.rate),
        Row(case, "times one machine", seen.rate / first),
        *(Row(case, f"{part}, cores", s / seen.took_s) for part, s in sorted(seen.cpu_s.items()) if part in _COUNTED),
        *(
            Row(case, f"{part}, CPU ms a photo", 1000 * s / seen.photos)
            for part, s in sorted(seen.cpu_s.items())
            if part in _COUNTED
        ),
    ]
