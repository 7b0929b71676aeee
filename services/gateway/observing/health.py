"""Health: whether this process lives, and whether the parts it needs work. No key is needed.

Each part is asked at once with the others and for two seconds at most (:mod:`services.gateway.observing.probes`), so that this is answered
in time whatever hangs. What a process tells of itself it tells in the catalog: while that is away, they are ``unknown``.
"""

import shutil
from collections.abc import Sequence

from flask import Flask, current_app
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog.engine import Catalog
from services.catalog.migrate import is_current
from services.catalog.running import lags, processes
from services.catalog.running.lags import Lag
from services.catalog.schema import now
from services.catalog.tables.process import Process
from services.errors import CatalogUnavailable
from services.gateway.doors import Gateway
from services.gateway.observing.probes import AWAY, OK, SLOW, UNKNOWN, Probe, States, ask_all
from services.logs import logger

OLD, LOCKED, FULL, LOW, STUCK, BEHIND, LOADING, OFF = (
    "old",
    "locked",
    "full",
    "low",
    "stuck",
    "behind",
    "loading",
    "off",
)

KINDS = ("interactive", "searcher", "bulk", "maintenance")
"""What runs beside the gateway and tells so in the catalog."""
WELL = {OK, SLOW}
"""What is slow works."""
ASIDE = {"disk", "clock"}
"""What is no part of the service, and warns before a part fails."""

FULL_BYTES, LOW_BYTES = 64 * 2**20, 2**30
_BEHIND_ENTRIES, _BEHIND_S = 1000, 30.0
_CLOCKS_AGREE_S = 2.0
_SWEEP = "sweep"
_PROBES, _LAST = "colega_probes", "colega_health"
_LOCK_WITHIN_S = 1.5


def register(app: Flask) -> None:
    """Add the two paths to *app*."""
    mine: Gateway = app.extensions["colega"]
    app.extensions[_PROBES] = [
        Probe("catalog", lambda: _catalog(mine), others=(*KINDS, "clock")),
        Probe("photos", lambda: _photos(mine)),
        Probe("broker", lambda: _broker(mine)),
        Probe("disk", lambda: {"disk": _room(shutil.disk_usage(mine.data if mine.data.exists() else ".").free)}),
    ]
    app.add_url_rule("/health/live", "live", live)
    app.add_url_rule("/health/ready", "ready", ready)


def live() -> ResponseReturnValue:
    """This process answers."""
    return {"status": OK}


def ready() -> ResponseReturnValue:
    """200 when the catalog answers and its schema is current; `degraded` while another part is not well."""
    found = checks()
    if found["catalog"] in {AWAY, OLD}:
        return {"status": AWAY, "checks": found}, 503, {"Retry-After": "2"}
    return {"status": OK if set(found.values()) <= WELL else "degraded", "checks": found}


def checks() -> dict[str, str]:
    """Each part: ``ok``, or what is wrong with it (docs/observability.md, "Health")."""
    probes: list[Probe] = current_app.extensions[_PROBES]
    found = ask_all(probes)
    jammed = found.pop("jammed", OK)
    if found["interactive"] == OK and jammed != OK:
        found["interactive"] = jammed
    order = ("catalog", "photos", "broker", *KINDS, "disk", "clock")
    states = {part: found[part] for part in order}
    before, current_app.extensions[_LAST] = current_app.extensions.get(_LAST), states
    if states != before:
        is_well = set(states.values()) <= WELL
        (logger().info if is_well else logger().warning)("health.changed", **states)
    return states


def _catalog(mine: Gateway) -> States:
    if not is_current(mine.catalog):
        return {"catalog": OLD, **dict.fromkeys((*KINDS, "clock"), UNKNOWN)}
    with mine.catalog.reading() as session:
        found = processes.running(session)
        alive = {process.kind for process in found}
        states = {kind: OK if kind in alive else AWAY for kind in KINDS}
        if states["searcher"] == OK:
            states["searcher"] = _replicas(lags.of_replicas(session, found))
        if states["maintenance"] == OK and not _is_swept(session, found):
            states["maintenance"] = STUCK
        states["clock"] = _clocks(found, processes.clock_off_s(session))
    states["catalog"] = LOCKED if _is_locked(mine.catalog) else OK
    return states


def _is_locked(catalog: Catalog) -> bool:
    """Whether somebody else has been writing for longer than a moment: SQLite has one writer."""
    if not catalog.is_sqlite:
        return False
    try:
        catalog.try_lock(_LOCK_WITHIN_S)
    except CatalogUnavailable:
        return True
    return False


def _is_swept(session: Session, found: Sequence[Process]) -> bool:
    """Whether what was lost is being sent again: by a process that has begun just now, or one that holds the lease."""
    just_now = (session.scalar(select(now())) or 0.0) - processes.ALIVE_WITHIN_S
    begun = any(process.kind == "maintenance" and process.started_at > just_now for process in found)
    return begun or processes.is_held(session, _SWEEP)


def _replicas(found: Sequence[Lag]) -> str:
    """``behind`` or ``loading`` where that holds of every replica of something that is searched."""
    best: dict[tuple[int, int], Lag] = {}
    for lag in found:
        key = (lag.collection, lag.generation)
        best[key] = min(lag, best.get(key, lag), key=lambda one: (one.is_loading, one.seconds, one.entries))
    if any(lag.entries > _BEHIND_ENTRIES or lag.seconds > _BEHIND_S for lag in best.values()):
        return BEHIND
    return LOADING if any(lag.is_loading for lag in best.values()) else OK


def _clocks(found: Sequence[Process], mine_s: float | None) -> str:
    """``off`` where a machine's clock is not this one's: requests carry deadlines from one to the other."""
    theirs = [p.details.get("clock_off_s") for p in found]
    if mine_s is None:
        return OK
    return OFF if any(each is not None and abs(each - mine_s) > _CLOCKS_AGREE_S for each in theirs) else OK


def _photos(mine: Gateway) -> States:
    mine.probe.exists("checks/ready")
    if mine.probe.folder is not None and _room(shutil.disk_usage(mine.probe.folder).free) == FULL:
        return {"photos": FULL}
    return {"photos": OK}


def _broker(mine: Gateway) -> States:
    """Whether it answers; and whether searches lie there that nobody takes out."""
    waits_s = mine.queue.oldest_s().get("interactive", 0.0)
    return {"broker": OK, "jammed": STUCK if waits_s > mine.limits.search_timeout_s else OK}


def _room(free_bytes: int) -> str:
    return FULL if free_bytes < FULL_BYTES else LOW if free_bytes < LOW_BYTES else OK
