"""Status: what runs, how full and how far everything is. Each part that is away says so; the others still tell."""

import shutil
from collections.abc import Mapping
from typing import Any

from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.catalog import calibrations, collections, computations, models
from services.catalog import checks as integrity
from services.catalog.erasing import erasures
from services.catalog.generations import PREPARED
from services.catalog.importing import jobs
from services.catalog.running import held, processes, readiness
from services.catalog.schema import Collection, Generation, Model, Removal
from services.catalog.telling import deliveries
from services.errors import CatalogUnavailable, ColegaError
from services.gateway import sealing
from services.gateway.answers import time_of
from services.gateway.checks import last_out
from services.gateway.doors import Gateway, Resource, gateway, key
from services.gateway.modelling.calibrations import told as calibration_told
from services.gateway.modelling.rebuild_answers import under_way_out
from services.gateway.observing.health import checks
from services.gateway.observing.probes import AWAY
from services.version import __version__

resource = Resource("status", "What runs, and how far it is")


@resource.door("get", "/status", "read")
def show() -> ResponseReturnValue:
    """Processes, queues, collections with their heads and replicas, models and variants, disk."""
    return told_of(gateway())


def told_of(mine: Gateway) -> dict[str, Any]:
    """All of it, as far as each part answers; of collections those that the key may look at."""
    told: dict[str, Any] = {"version": __version__, "checks": checks(), "disk": _disk(mine)}
    told["audit"] = {"on": mine.auditor.is_on, "well": mine.auditor.is_well, "waiting": mine.auditor.waiting}
    try:
        is_away = told["checks"]["broker"] == AWAY  # Asking again would take as long again.
        told["queues"] = {"error": "The broker does not answer."} if is_away else mine.queue.depths()
    except ColegaError as error:
        told["queues"] = {"error": str(error)}
    try:
        if told["checks"]["catalog"] == AWAY:
            raise CatalogUnavailable("The catalog does not answer.")
        told |= _catalog(mine)
        told["sealing"] = sealing.told_of(mine)
    except ColegaError as error:
        told["catalog"] = {"error": str(error)}
    return told if key().collections is None else _without_others(told)


def _without_others(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told to a key that is limited to collections: nothing by which others' work could be seen."""
    hidden: dict[str, Any] = {"host": None, "pid": None, "trouble": []}
    return {
        **told,
        **{name: {} for name in ("queues", "rejected", "webhooks", "erasures") if name in told},
        **({"processes": [process | hidden for process in told["processes"]]} if "processes" in told else {}),
        "removals_waiting": 0,
    }


def _catalog(mine: Gateway) -> dict[str, Any]:
    with mine.catalog.reading() as session:
        found = processes.running(session)
        names = {model.id: model for model in models.all_of(session)}
        allowed = key().collections
        calibrated = calibrations.current(session)
        checked = integrity.latest(session)
        generations = held.every(session)
        galleries = [
            {
                "name": c.name,
                "head": c.head,
                "model": names[c.model_id].name if c.model_id is not None else None,
                "detector": names[c.detector_id].name if c.detector_id is not None else "mtcnn",
                "generations": [
                    _generation(session, g, c, names) for g in generations.values() if g.collection_id == c.id
                ],
                "rebuild": under_way_out(session, c),
                **collections.counts(session, c.id),
                "calibration": calibration_told(session, c, calibrated[c.id]) if c.id in calibrated else None,
                "check": last_out(checked.get(c.id)),
                "retention": {"held": (c.retained or {}).get("held", 0), "why": (c.retained or {}).get("why")},
                "replicas": [
                    _replica(p.id, r, c, names, generations.get(r.get("generation")))
                    for p in found
                    for r in p.details.get("replicas", [])
                    if r["collection"] == c.id
                ],
            }
            for c in collections.all_of(session)
            if allowed is None or c.name in allowed
        ]
        return {
            "collections": galleries,
            "processes": [
                {
                    "id": p.id,
                    "kind": p.kind,
                    "host": p.host,
                    "pid": p.pid,
                    "seen_at": time_of(p.seen_at),
                    "variants": sorted({_variant(e) for e in p.details.get("embedders", [])}),
                    "detectors": p.details.get("detectors", []),
                    "device": p.details.get("device"),
                    "trouble": p.details.get("trouble", []),
                }
                for p in found
            ],
            "computations": [
                {
                    "job": job.public_id,
                    "kind": job.kind,
                    "collection": collection.name,
                    "state": computation.state,
                    "progress": computation.progress,
                    "started_at": time_of(computation.started_at),
                }
                for job, computation, collection in computations.unfinished(session)
                if allowed is None or collection.name in allowed
            ],
            "rejected": jobs.rejected_by_reason(session),
            "webhooks": _webhooks(session),
            "erasures": erasures.counts(session)._asdict(),
            "removals_waiting": session.scalar(select(func.count()).select_from(Removal)) or 0,
            "catalog": {"backend": mine.catalog.url.get_backend_name()},
        }


def _webhooks(session: Session) -> dict[str, int]:
    """How many there are, and how much of what they were to be told waits, fails or was given up in the last seven days."""
    counted = deliveries.counts(session).values()
    return {
        "webhooks": len(deliveries.numbers(session)),
        "waiting": sum(one.waiting for one in counted),
        "failing": sum(one.failing for one in counted),
        "given_up": sum(one.given_up for one in counted),
    }


def _generation(session: Session, one: Generation, of: Collection, names: Mapping[int, Model]) -> dict[str, Any]:
    """A model and a detection of a collection; where it is ready to be switched to, who would have to be waited for."""
    is_active = of.generation_id == one.id
    may_be_next = one.state == PREPARED and not is_active
    return {
        "model": names[one.model_id].name,
        "detector": names[one.detector_id].name if one.detector_id is not None else "mtcnn",
        "round": one.round,
        "state": one.state,
        "active": is_active,
        "unready": readiness.unready(session, one) if may_be_next else [],
        "created_at": time_of(one.created_at),
    }


def _replica(
    process: str, told: Mapping[str, Any], of: Collection, names: Mapping[int, Model], one: Generation | None
) -> dict[str, Any]:
    """A replica as its searcher told of it a few seconds ago, held against the log's head now."""
    shown = (
        "sequence",
        "faces",
        "people",
        "memory_mb",
        "origin",
        "recovered",
        "snapshot",
        "reloads",
        "reloading",
        "refused",
        "trouble",
    )
    return {
        "process": process,
        "model": None if one is None else names[one.model_id].name,
        "active": one is not None and one.id == of.generation_id,
        "lag": max(of.head - told["sequence"], 0),
        **{name: told[name] for name in shown},
    }


def _variant(embedder: Mapping[str, Any]) -> str:
    """How a model is computed; on a GPU with the library that does it."""
    on_gpu = embedder.get("device") == "cuda"
    return f"{embedder['variant']} ({embedder['runtime']}, GPU)" if on_gpu else str(embedder["variant"])


def _disk(mine: Gateway) -> dict[str, int]:
    usage = shutil.disk_usage(mine.data if mine.data.exists() else ".")
    return {"free_mb": usage.free // 2**20, "total_mb": usage.total // 2**20}
