"""One, two and four machines of simulated workers on one catalog and one broker: how many photos a second become rows."""

import statistics
import time
from dataclasses import dataclass, replace

import redis
from sqlalchemy import text

from benchmarks.machine import Row
from benchmarks.machines import chunks, waiting
from benchmarks.machines.deployed import Machines, machines, used
from benchmarks.machines.stand_ins import CHUNK_S
from services.broker import names
from services.broker.send import CHUNK, Queue
from services.catalog.engine import Catalog
from tests.integration.deploy.composed import ROOT, Service

MACHINES = (1, 2, 4)
_WORKERS_EACH = 16
_WINDOW_S, _QUICK_WINDOW_S = 60.0, 13.0
_WARM_WITHIN_S = 60.0
_MORE_S = 30.0
"""For how much longer than is measured there are photos: workers get going, and the queue is never empty."""

_STATES = text(
    "SELECT CASE WHEN state = 'queued' AND claim IS NULL THEN 'free' ELSE state END AS stands, count(*)"
    " FROM job_items WHERE job_id = :job GROUP BY stands"
)


@dataclass(frozen=True, slots=True)
class Steady:
    """What was seen while all workers were at work and photos were waiting."""

    rate: float
    """Photos a second."""
    chunk_s: float
    """Median time from one chunk's end to the next's."""
    cpu_s: dict[str, float]
    """By part."""
    took_s: float
    photos: int
    """Done in *took_s*, by all."""


def rows(*, quick: bool) -> list[Row]:
    """Measure each number of machines in turn, each with a collection of its own."""
    made: list[Row] = []
    first = 0.0
    with machines(_chosen) as hosts:
        hosts.run("valkey", "postgres", "migrate")
        for count in MACHINES:
            seen = _steady(hosts, count, _QUICK_WINDOW_S if quick else _WINDOW_S)
            first = first or seen.rate
            made += _told(count, seen, first)
    return made


def _chosen(services: dict[str, Service]) -> dict[str, Service]:
    """Catalog, broker, and as many machines as there are at most; a machine is the bulk worker's host with another command."""
    bulk = services["bulk"]
    at = bulk.argv.index("-m")
    command = [
        *bulk.argv[:at], "-m", "celery", "-A", "benchmarks.machines.sleeping:app", "worker", "-P", "threads", "-c",
        str(_WORKERS_EACH), "--loglevel=WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat", "-Q", names.BULK,
    ]  # fmt: skip
    sleeping = {
        name: replace(
            bulk,
            name=name,
            argv=command,
            health=None,
            restart="no",
            environment={**bulk.environment, "PYTHONPATH": str(ROOT)},
        )
        for name in _names(max(MACHINES))
    }
    return {name: services[name] for name in ("postgres", "valkey", "migrate")} | sleeping


def _names(count: int) -> list[str]:
    return [f"workers-{n}" for n in range(1, count + 1)]


def _steady(hosts: Machines, count: int, window_s: float) -> Steady:
    """Have *count* machines work, and measure for *window_s* once each of their workers has done a chunk."""
    workers = count * _WORKERS_EACH
    photos = round(workers * CHUNK / CHUNK_S * (window_s + _MORE_S))
    catalog = hosts.catalog()
    try:
        with redis.Redis.from_url(hosts.broker_url()) as broker:
            broker.flushall()
        job = waiting.write(catalog, f"machines-{count}", photos)
        Queue(hosts.broker_url()).ingest(job.items, names.BULK)
        for name in _names(count):
            hosts.hosts.run(hosts.hosts.hosts[name])
        since = _when_all_have_begun(catalog, hosts, job.job, workers)
        before, began = hosts.cpu_s(), time.monotonic()
        time.sleep(window_s)
        after, took_s, until = hosts.cpu_s(), time.monotonic() - began, chunks.now(catalog)
        ended = chunks.of_job(catalog, job.job, since, until)
        _check(catalog, job.job)
    finally:
        hosts.end(*_names(count))
        catalog.close()
    return Steady(
        chunks.rate(ended, workers),
        statistics.median(chunks.between(ended)),
        used(before, after),
        took_s,
        sum(chunk.photos for chunk in ended),
    )


def _when_all_have_begun(catalog: Catalog, hosts: Machines, job: int, workers: int) -> float:
    """Wait until each worker has done a chunk; the time by the catalog's clock."""
    give_up_at = time.monotonic() + _WARM_WITHIN_S
    while len({chunk.worker for chunk in chunks.of_job(catalog, job)}) < workers:
        for host in hosts.hosts.hosts.values():
            if host.container is not None and host.container.exit_status:
                raise SystemExit(host.container.last_words())
        if time.monotonic() > give_up_at:
            raise SystemExit(f"Not all of {workers} workers have done a chunk within {_WARM_WITHIN_S:.0f} s.")
        time.sleep(0.5)
    return chunks.now(catalog)


def _check(catalog: Catalog, job: int) -> None:
    """See that there was work left for all and that nothing went wrong."""
    with catalog.reading() as session:
        states = {row[0]: row[1] for row in session.execute(_STATES, {"job": job})}
    if not states.get("free") or states.keys() - {"free", "queued", "done"}:
        raise SystemExit(f"Not what is to be measured; photos by state: {states}")


def _told(count: int, seen: Steady, first: float) -> list[Row]:
    case = f"{count} machine{'s' if count > 1 else ''}, {count * _WORKERS_EACH} simulated workers"
    limit = count * _WORKERS_EACH * CHUNK / CHUNK_S
    return [
        Row(case, "photos/s", seen.rate),
        Row(case, "share of linear", seen.rate / (count * first)),
        Row(case, "share of 4 photos/s a worker", seen.rate / limit),
        Row(case, "s a chunk, of which 4 are slept", seen.chunk_s),
        *(Row(case, f"{part}, cores", s / seen.took_s) for part, s in sorted(seen.cpu_s.items()) if part != "migrate"),
        *(
            Row(case, f"{part}, CPU ms a photo", 1000 * s / seen.photos)
            for part, s in sorted(seen.cpu_s.items())
            if part != "migrate"
        ),
    ]
