"""Metrics for Prometheus at ``/metrics``: how requests go, and how full and far everything is. No names, no ids."""

import time
from collections import Counter as Counted
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from services.catalog import checks, deliveries, held, jobs, processes
from services.catalog.process_schema import Process
from services.errors import ColegaError
from services.gateway.doors import SCOPES, Gateway

_LATENCY = "colega_request_seconds"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Meters:
    """The meters of one gateway process."""

    def __init__(self, mine: Gateway) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            _LATENCY, "Time to answer.", ["endpoint", "method"], buckets=_BUCKETS, registry=self.registry
        )
        self.requests = Counter(
            "colega_requests", "Answers by status.", ["endpoint", "method", "status"], registry=self.registry
        )
        self.registry.register(_State(mine))


class _State:
    """What catalog and broker say at the moment of asking; what is away is left out."""

    def __init__(self, mine: Gateway) -> None:
        self._mine = mine

    def collect(self) -> Iterator[Metric]:
        depths = GaugeMetricFamily("colega_queue_messages", "Messages that wait.", labels=["queue"])
        running = GaugeMetricFamily("colega_processes", "Processes seen lately.", labels=["kind"])
        rejected = GaugeMetricFamily("colega_items_rejected", "Items that were rejected.", labels=["reason"])
        try:
            for queue, depth in self._mine.queue.depths().items():
                depths.add_metric([queue], depth)
        except ColegaError:
            pass
        generations = GaugeMetricFamily(
            "colega_generations", "Models and detections of collections: one of each is searched.", labels=["state"]
        )
        problems = GaugeMetricFamily(
            "colega_check_problems", "What the last check of each collection has left, added up.", labels=["kind"]
        )
        told = GaugeMetricFamily(
            "colega_webhook_deliveries",
            "What webhooks are still to be told, of that what failed before, and what was given up in seven days.",
            labels=["state"],
        )
        found: Sequence[Process] = ()
        try:
            with self._mine.catalog.reading() as session:
                found, reasons = processes.running(session), jobs.rejected_by_reason(session)
                states = Counted(each.state for each in held.every(session).values())
                checked = checks.latest(session)
                counted = deliveries.counts(session).values()
            for state in ("waiting", "failing", "given_up"):
                told.add_metric([state], sum(getattr(one, state) for one in counted))
            for kind in checks.PROBLEMS:
                left = [(done.result or {}).get("remaining", {}) for _, done in checked.values()]
                problems.add_metric([kind], sum(each.get(kind, 0) for each in left))
            for state, count in sorted(states.items()):
                generations.add_metric([state], count)
            kinds = [process.kind for process in found]
            for kind in sorted(set(kinds)):
                running.add_metric([kind], kinds.count(kind))
            for reason, count in reasons.items():
                rejected.add_metric([reason], count)
        except ColegaError:
            pass
        yield from (depths, running, rejected, generations, problems, told, *_replicas(found))


def _replicas(found: Sequence[Process]) -> Iterator[Metric]:
    """What the searchers hold, added up for each of them: a label a collection would be a thousand."""
    kinds: list[tuple[str, str, Callable[[list[dict[str, Any]]], float]]] = [
        ("replicas", "Generations of collections held.", len),
        ("replica_lag_entries", "Log entries not applied yet, of the replica that is furthest behind.", _most("lag")),
        ("replica_faces", "Faces that are searched.", _sum("faces")),
        ("replica_memory_megabytes", "Memory that replicas need, mapped vectors left out.", _sum("memory_mb")),
        ("replica_reloads", "How often replicas were made anew: a gap, another epoch, damage.", _sum("reloads")),
        ("replica_refused_embeddings", "Embeddings that cannot be compared.", _sum("refused")),
        ("replica_troubles", "Replicas that cannot seal, compact or reach their index.", _troubled),
    ]
    for name, meaning, value in kinds:
        family = GaugeMetricFamily(f"colega_{name}", meaning, labels=["process"])
        for process in found:
            if (replicas := process.details.get("replicas")) is not None:
                family.add_metric([process.id], value(replicas))
        yield family


def _sum(name: str) -> Callable[[list[dict[str, Any]]], float]:
    return lambda replicas: float(sum(r[name] for r in replicas))


def _troubled(replicas: list[dict[str, Any]]) -> float:
    return float(sum(bool(r["trouble"]) for r in replicas))


def _most(name: str) -> Callable[[list[dict[str, Any]]], float]:
    return lambda replicas: float(max((r[name] for r in replicas), default=0))


def register(app: Flask) -> None:
    """Add ``/metrics`` to *app* and time its requests."""
    app.extensions["colega_meters"] = Meters(app.extensions["colega"])
    app.before_request(_start)
    app.add_url_rule("/metrics", "metrics", show)
    SCOPES["metrics"] = "read"


def show() -> ResponseReturnValue:
    """The meters of this process, and what catalog and broker say."""
    text = generate_latest(_meters().registry)
    return Response(text, mimetype="text/plain", content_type="text/plain; version=0.0.4; charset=utf-8")


def count(response: Response) -> None:
    """Note how a request went."""
    endpoint = request.endpoint or "none"
    meters = _meters()
    meters.requests.labels(endpoint, request.method, str(response.status_code)).inc()
    if (started := g.get("started")) is not None:
        meters.seconds.labels(endpoint, request.method).observe(time.perf_counter() - started)


def _start() -> None:
    g.started = time.perf_counter()


def _meters() -> Meters:
    meters: Meters = current_app.extensions["colega_meters"]
    return meters
