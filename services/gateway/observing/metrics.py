"""Metrics for Prometheus at ``/metrics``: how requests go, and how full and far everything is. No names, no ids of people.

What this process has counted is its own: several gateways add up. What catalog and broker say is the same at all of them, so of
that the largest counts (docs/observability.md).
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask.typing import ResponseReturnValue
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from services.broker.requests import Answer
from services.gateway.doors import SCOPES, Gateway
from services.gateway.guarding.auth import require_unlimited
from services.gateway.observing.health import checks
from services.gateway.observing.of_catalog import State
from services.gateway.observing.similarities import Similarities

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STAGES = (0.001, 0.0025, *_BUCKETS)
_SIMILARITIES = tuple(round(0.05 * n, 2) for n in range(-4, 20))
_SEARCHES_IN = ("decode", "detect", "embed", "search")
_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
_EXTENSION = "colega_meters"

disable_created_metrics()  # type: ignore[no-untyped-call]  # A time beside each count would be half as many series again, and nothing asks for them.


class Meters:
    """The meters of one gateway process."""

    def __init__(self, mine: Gateway) -> None:
        self.registry = CollectorRegistry()
        self.similarities = Similarities()
        to = self.registry
        self.seconds = Histogram(
            "colega_request_seconds", "Time to answer.", ["endpoint"], buckets=_BUCKETS, registry=to
        )
        self.requests = Counter("colega_requests", "Answers by status.", ["endpoint", "method", "status"], registry=to)
        self.problems = Counter(
            "colega_problems", "Answers that say what is wrong, by its type.", ["type"], registry=to
        )
        self.search_seconds = Histogram(
            "colega_search_seconds",
            "Steps of a search: wait (for a worker, and on the way), decode, detect, embed, search; total is all of it.",
            ["stage"],
            buckets=_STAGES,
            registry=to,
        )
        self.best = Histogram(
            "colega_search_best_similarity",
            "How like their nearest person the faces of searches were.",
            buckets=_SIMILARITIES,
            registry=to,
        )
        self.decisions = Counter(
            "colega_search_faces", "Faces of searches, by what was decided.", ["decision"], registry=to
        )
        self.in_progress = mine
        self.registry.register(State(mine, self.similarities, checks))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)


def register(app: Flask) -> None:
    """Add ``/metrics`` to *app* and count its requests."""
    app.extensions[_EXTENSION] = Meters(app.extensions["colega"])
    app.add_url_rule("/metrics", "metrics", show)
    SCOPES["metrics"] = "read"


def show() -> ResponseReturnValue:
    """The meters of this process, and what catalog and broker say."""
    require_unlimited()
    text = generate_latest(meters().registry)
    return Response(text, mimetype="text/plain", content_type="text/plain; version=0.0.4; charset=utf-8")


def count(response: Response) -> None:
    """Note how a request went."""
    endpoint, mine = request.endpoint or "none", meters()
    method = request.method if request.method in _METHODS else "other"  # A label that callers may not make up.
    mine.requests.labels(endpoint, method, str(response.status_code)).inc()
    if (kind := g.get("problem")) is not None:
        mine.problems.labels(kind).inc()
    if (started := g.get("started")) is not None:
        mine.seconds.labels(endpoint).observe(time.perf_counter() - started)


def searched(answer: Answer, elapsed_s: float) -> None:
    """Note how long a search took, step by step; *elapsed_s* from asking to the answer."""
    took_ms = answer["took_ms"]
    stages = {stage: took_ms[stage] / 1000 for stage in _SEARCHES_IN if stage in took_ms}
    stages["wait"] = max(elapsed_s - sum(stages.values()), 0.0)
    for stage, seconds in {**stages, "total": elapsed_s}.items():
        meters().search_seconds.labels(stage).observe(seconds)


def decided(faces: Sequence[Mapping[str, Any]], collection: int, calibrated: Any, people: int) -> None:  # noqa: ANN401 - see Similarities
    """Note how like their nearest person the faces of a search were, and what was decided."""
    mine = meters()
    best = [face["matches"][0]["similarity"] if face["matches"] else -1.0 for face in faces]
    for face, similarity in zip(faces, best, strict=True):
        mine.decisions.labels(face["decision"]).inc()
        mine.best.observe(similarity)
    mine.similarities.note(collection, best, calibrated, people)


def meters() -> Meters:
    """Of this process."""
    mine: Meters = current_app.extensions[_EXTENSION]
    return mine
