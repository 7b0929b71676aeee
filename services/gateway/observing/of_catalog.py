"""What catalog and broker say at the moment of asking, as metrics. What is away, or does not answer in time, is left out."""

import shutil
from collections import Counter as Counted
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from contextlib import suppress
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy.orm import Session

from services import meters as counted
from services.catalog import checks
from services.catalog.importing import jobs
from services.catalog.running import held, lags, meters, observed, processes
from services.catalog.tables.process import Process
from services.catalog.telling import deliveries
from services.errors import ColegaError
from services.gateway.doors import Gateway
from services.gateway.guarding import encryption
from services.gateway.observing.health import WELL
from services.gateway.observing.probes import AWAY
from services.gateway.observing.similarities import Similarities

_WITHIN_S = 5.0
_LOOKS = 4

Rows = Iterable[tuple[Sequence[str], float]]
"""Values of labels, and of the metric."""


class State:
    """A collector for one gateway."""

    def __init__(self, mine: Gateway, similarities: Similarities, health: Callable[[], Mapping[str, str]]) -> None:
        self._mine, self._similarities, self._health = mine, similarities, health
        self._threads = ThreadPoolExecutor(_LOOKS, "metrics")

    def describe(self) -> Iterator[Metric]:
        """Nothing beforehand: it would ask."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        states = self._health()
        parts = {"broker": self._broker, "catalog": self._catalog}
        looks = [self._threads.submit(look) for part, look in parts.items() if states[part] != AWAY]
        yield _gauge("part_up", "Whether a part works.", ["part"], (([p], float(s in WELL)) for p, s in states.items()))
        yield from self._here()
        for look in looks:
            yield from _in_time(look)

    def _here(self) -> Iterator[Metric]:
        """What needs nobody else."""
        usage = shutil.disk_usage(self._mine.data if self._mine.data.exists() else ".")
        yield _gauge("gateway_disk_free_bytes", "Free where this gateway keeps its files.", [], [([], usage.free)])
        worst = max((drift for _, drift in self._similarities.drifts()), default=None)
        about = (
            "How far late searches are from what the calibration expects, in the collection that is furthest: 0 to 1."
        )
        yield _gauge("similarity_drift", about, [], [] if worst is None else [([], worst)])
        ends = encryption.expires_at()
        about = "When the certificate of this gateway ends, in seconds since 1970."
        yield _gauge("certificate_expiry_timestamp_seconds", about, [], [] if ends is None else [([], ends)])
        about = "Since this gateway anchored its chain of the audit."
        yield _gauge("audit_anchor_age_seconds", about, [], _one(self._mine.auditor.anchored_ago_s))

    def _broker(self) -> list[Metric]:
        depths, oldest = self._mine.queue.depths(), self._mine.queue.oldest_s()
        about = "For how long the next message has waited."
        return [
            _gauge("queue_messages", "Messages that wait.", ["queue"], (([q], n) for q, n in depths.items())),
            _gauge("queue_oldest_seconds", about, ["queue"], (([q], oldest.get(q, 0.0)) for q in depths)),
        ]

    def _catalog(self) -> list[Metric]:
        with self._mine.catalog.reading() as session:
            found = processes.running(session)
            return [*_of_rows(session), *_of_processes(found), *_replicas(session, found), *_counted(session)]


def _in_time(look: "Future[list[Metric]]") -> list[Metric]:
    with suppress(ColegaError, TooLate):
        return look.result(timeout=_WITHIN_S)
    look.cancel()
    return []


def _of_rows(session: Session) -> Iterator[Metric]:
    waiting = observed.waiting(session)
    yield _gauge("items_waiting", "Photos that have not ended.", ["queue"], (([w.queue], w.items) for w in waiting))
    about = "For how long the first of them has waited."
    yield _gauge("items_oldest_seconds", about, ["queue"], (([w.queue], w.oldest_s) for w in waiting))
    reasons = jobs.rejected_by_reason(session)
    about = "Photos that stand rejected."
    yield _gauge("items_rejected", about, ["reason"], (([r], n) for r, n in reasons.items()))
    states = Counted(each.state for each in held.every(session).values())
    about = "Models and detections of collections: one of each is searched."
    yield _gauge("generations", about, ["state"], (([s], n) for s, n in sorted(states.items())))
    left = [(done.result or {}).get("remaining", {}) for _, done in checks.latest(session).values()]
    about = "What the last check of each collection has left, added up."
    rows = (([kind], sum(each.get(kind, 0) for each in left)) for kind in checks.PROBLEMS)
    yield _gauge("check_problems", about, ["kind"], rows)
    told = deliveries.counts(session).values()
    about = "What webhooks are still to be told, of that what failed before, and what was given up in seven days."
    named = (([s], sum(getattr(one, s) for one in told)) for s in ("waiting", "failing", "given_up"))
    yield _gauge("webhook_deliveries", about, ["state"], named)
    rebuilds = observed.rebuilds(session)
    yield _gauge("rebuilds", "Rebuilds that have not ended.", ["state"], (([s], n) for s, n in rebuilds.items()))
    yield _gauge("console_sessions", "Who is signed in.", [], [([], observed.sessions(session))])
    erasures = observed.erasures(session)
    about = "People who are being erased: open, and of that overdue."
    yield _gauge("erasures", about, ["state"], [(["open"], erasures.open), (["overdue"], erasures.overdue)])
    about = "Since what was written then is in a backup that is complete."
    yield _gauge("backup_age_seconds", about, [], _one(observed.backup_age_s(session)))
    about = "Objects of the photo store that are to be deleted."
    yield _gauge("removals_waiting", about, [], [([], observed.removals(session))])


def _of_processes(found: Sequence[Process]) -> Iterator[Metric]:
    kinds = Counted(process.kind for process in found)
    yield _gauge("processes", "Processes seen lately.", ["kind"], (([k], n) for k, n in sorted(kinds.items())))
    yield _gauge("process_resident_bytes", "Memory of processes, their parents' with it.", ["kind"], _resident(found))
    disks = {p.host: p.details["disk"] for p in found if "disk" in p.details}
    about = "where processes keep their files, a machine each."
    for part in ("free", "total"):
        rows = (([host], disk[f"{part}_bytes"]) for host, disk in disks.items())
        yield _gauge(f"disk_{part}_bytes", f"{part.capitalize()} {about}", ["host"], rows)
    gpus = {(p.host, str(gpu["gpu"])): gpu for p in found for gpu in p.details.get("gpus", [])}
    for part in ("used", "total"):
        rows = ((list(which), gpu[f"{part}_bytes"]) for which, gpu in gpus.items())
        yield _gauge(f"gpu_memory_{part}_bytes", f"Memory of GPUs: {part}.", ["host", "gpu"], rows)
    opened = [e for p in found for e in p.details.get("embedders", [])]
    fallbacks = sum(e["variant"] != e.get("preferred", e["variant"]) for e in opened)
    about = (
        "Models that are not computed by the variant that is wanted, since that failed its self-check; one a process."
    )
    yield _gauge("model_fallbacks", about, [], [([], fallbacks)])


def _resident(found: Sequence[Process]) -> Rows:
    """Of each kind, every parent counted once."""
    by_kind: dict[str, dict[tuple[str, int], int]] = defaultdict(dict)
    for process in found:
        details: Mapping[str, Any] = process.details
        by_kind[process.kind][process.host, process.pid] = details.get("resident_bytes", 0)
        if "parent" in details:
            pid, resident = details["parent"]
            by_kind[process.kind][process.host, pid] = resident
    return [([kind], sum(each.values())) for kind, each in sorted(by_kind.items())]


def _replicas(session: Session, found: Sequence[Process]) -> Iterator[Metric]:
    """What the searchers hold, added up for each of them: a label a collection would be a thousand."""
    holding = [(p.id, p.details["replicas"]) for p in found if "replicas" in p.details]
    kinds: list[tuple[str, str, Callable[[list[dict[str, Any]]], float]]] = [
        ("replicas", "Generations of collections held.", len),
        ("replica_faces", "Faces that are searched.", _sum("faces")),
        ("replica_memory_bytes", "Memory that replicas need, mapped vectors left out.", _megabytes),
        ("replica_reloads", "How often replicas were made anew: a gap, another epoch, damage.", _sum("reloads")),
        ("replica_refused_embeddings", "Embeddings that cannot be compared.", _sum("refused")),
        ("replica_troubles", "Replicas that cannot seal, compact or reach their index.", _troubled),
        ("replica_loading", "Replicas that are being made anew.", _sum("reloading")),
    ]
    for name, meaning, value in kinds:
        yield _gauge(name, meaning, ["process"], (([who], value(replicas)) for who, replicas in holding))
    behind = lags.of_replicas(session, found)
    for part, meaning in (
        ("entries", "Log entries not applied yet"),
        ("seconds", "Age of the first entry not applied yet"),
    ):
        most = {who: 0.0 for who, _ in holding}
        for lag in behind:
            most[lag.process] = max(most[lag.process], getattr(lag, part))
        about = f"{meaning}, of the replica that is furthest behind."
        yield _gauge(f"replica_lag_{part}", about, ["process"], (([who], worst) for who, worst in most.items()))


def _counted(session: Session) -> Iterator[Metric]:
    """What workers and searchers have counted, all together and since the beginning."""
    every = meters.every(session)
    photos = CounterMetricFamily("colega_photos", "Photos that workers have ended.", labels=["outcome"])
    faces = CounterMetricFamily("colega_faces", "Faces that were embedded to be found.")
    faces.add_metric([], every.get((counted.FACES, ""), 0.0))
    for (name, label), value in sorted(every.items()):
        if name == counted.PHOTOS:
            photos.add_metric([label], value)
    yield from (photos, faces)
    yield _histogram(every, counted.COMMITTED_S, "From a photo's arrival until its faces are in the catalog.")
    yield _histogram(every, counted.FINDABLE_S, "From a photo's arrival until a searcher finds it; of each searcher.")


def _histogram(every: Mapping[tuple[str, str], float], name: str, meaning: str) -> Metric:
    family = HistogramMetricFamily(f"colega_{name}", meaning)
    buckets, total = [], 0.0
    for bound in (*(f"{bound:g}" for bound in counted.BUCKETS_S), counted.ANY):
        total += every.get((name, bound), 0.0)
        buckets.append((bound if bound == counted.ANY else str(float(bound)), total))
    family.add_metric([], buckets, sum_value=every.get((name, counted.SUM), 0.0))
    return family


def _gauge(name: str, meaning: str, labels: Sequence[str], rows: Rows) -> Metric:
    family = GaugeMetricFamily(f"colega_{name}", meaning, labels=list(labels))
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _one(value: float | None) -> Rows:
    return [] if value is None else [([], value)]


def _sum(name: str) -> Callable[[list[dict[str, Any]]], float]:
    return lambda replicas: float(sum(r[name] for r in replicas))


def _megabytes(replicas: list[dict[str, Any]]) -> float:
    return 2**20 * _sum("memory_mb")(replicas)


def _troubled(replicas: list[dict[str, Any]]) -> float:
    return float(sum(bool(r["trouble"]) for r in replicas))
