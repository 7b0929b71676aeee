"""Celery's side of upkeep: what beat sends, done by one process at a time."""

import functools
from collections.abc import Callable
from typing import Any

from services import wrappings
from services.broker import names
from services.catalog.running import processes
from services.errors import Unavailable
from services.logs import logger
from services.photos.volumes import Volumes
from services.settings.erasing import Erasing
from workers import erasing, pruning, rebuilding, retaining, sealing, upkeep
from workers.checks import schedule
from workers.tasks.process import app, environment, here

SWEEP_EVERY_S, CONDUCT_EVERY_S, TIDY_EVERY_S, ORPHANS_EVERY_S, PRUNE_EVERY_S = 3.0, 3.0, 30.0, 3600.0, 3600.0
RETAIN_EVERY_S = 30.0
ERASE_EVERY_S = 2.0
"""Who waits for an erasure is not to wait for this; nobody looks more often than once a minute at one that nobody waits for."""
SEAL_EVERY_S, _SEALED_FOR_S = 30.0, 10.0
"""Other upkeep waits for it."""
CHECKS_EVERY_S = 60.0
"""How often it is looked whose turn it is."""
_LEASE_S = 60.0
_CONDUCTED_S = 15.0
"""For so long nobody conducts after a conductor was killed. That two do at once is harmless."""

app.conf.beat_scheduler = "workers.tasks.beating:Steady"
app.conf.beat_schedule = {
    "sweep": {"task": names.SWEEP, "schedule": SWEEP_EVERY_S, "options": {"expires": SWEEP_EVERY_S}},
    "conduct": {"task": names.CONDUCT, "schedule": CONDUCT_EVERY_S, "options": {"expires": CONDUCT_EVERY_S}},
    "tidy": {"task": names.TIDY, "schedule": TIDY_EVERY_S, "options": {"expires": TIDY_EVERY_S}},
    "orphans": {"task": names.ORPHANS, "schedule": ORPHANS_EVERY_S, "options": {"expires": 600.0}},
    "prune": {"task": names.PRUNE, "schedule": PRUNE_EVERY_S, "options": {"expires": 600.0}},
    "retain": {"task": names.RETAIN, "schedule": RETAIN_EVERY_S, "options": {"expires": RETAIN_EVERY_S}},
    "erase": {"task": names.ERASE, "schedule": ERASE_EVERY_S, "options": {"expires": ERASE_EVERY_S}},
    "seal": {"task": names.SEAL, "schedule": SEAL_EVERY_S, "options": {"expires": SEAL_EVERY_S}},
    "checks": {"task": names.CHECKS, "schedule": CHECKS_EVERY_S, "options": {"expires": CHECKS_EVERY_S}},
}


@app.task(name=names.SWEEP, ignore_result=True, time_limit=120)
def sweep() -> None:
    """See :func:`workers.upkeep.sweep`."""
    if _is_my_turn("sweep"):
        _try("sweep", lambda: upkeep.sweep(here().tools.catalog, here().queue))


@app.task(name=names.CONDUCT, ignore_result=True, time_limit=600)
def conduct() -> None:
    """See :func:`workers.rebuilding.conduct`."""
    if _is_my_turn("conduct", _CONDUCTED_S):
        _try("conduct", lambda: rebuilding.conduct(here().tools.catalog, here().queue, here().tools.waking))


@app.task(name=names.TIDY, ignore_result=True, time_limit=600)
def tidy() -> None:
    """See :func:`workers.upkeep.tidy`."""
    if _is_my_turn("tidy"):
        days, search_s = here().retention.keep_unassigned_days, here().limits.search_timeout_s
        catalog, store = here().tools.catalog, here().tools.store
        how: dict[str, Any] = {"keep_unassigned_days": days, "search_s": search_s, "erase_within_s": _erase_within_s()}
        _try("tidy", lambda: upkeep.tidy(catalog, store, **how))


@app.task(name=names.ORPHANS, ignore_result=True, time_limit=3600)
def orphans() -> None:
    """See :func:`workers.upkeep.drop_orphans`."""
    if _is_my_turn("orphans"):
        _try("orphans", lambda: upkeep.drop_orphans(here().tools.catalog, here().tools.store))


@app.task(name=names.PRUNE, ignore_result=True, time_limit=3600)
def prune() -> None:
    """See :func:`workers.pruning.prune_logs` and :func:`workers.pruning.drop_lost_snapshots`."""
    if _is_my_turn("prune"):
        tools = here().tools
        _try("prune", lambda: pruning.prune_logs(tools.catalog, tools.store))
        _try("prune", lambda: pruning.drop_lost_snapshots(tools.catalog, tools.store))
        _try("prune", lambda: sealing.forget_lost(tools.catalog, tools.store))
        days = here().retention.keep_unassigned_days
        within_s = _erase_within_s()
        _try("prune", lambda: retaining.delete_photos_of_nobody(tools.catalog, days, within_s))


@app.task(name=names.RETAIN, ignore_result=True, time_limit=3600)
def retain() -> None:
    """See :func:`workers.retaining.retain`."""
    if _is_my_turn("retain"):
        tools, share = here().tools, here().privacy.retention_share
        within_s = _erase_within_s()
        _try("retain", lambda: retaining.retain(tools.catalog, tools.waking, most_share=share, within_s=within_s))


@app.task(name=names.ERASE, ignore_result=True, time_limit=3600)
def erase() -> None:
    """See :meth:`workers.erasing.Eraser.erase`."""
    if _is_my_turn("erase"):
        _try("erase", _eraser().erase)


def _erase_within_s() -> float:
    return environment.load(Erasing).erase_within_h * 3600


@functools.cache
def _eraser() -> erasing.Eraser:
    """One a process: it knows when volumes were written anew."""
    address = environment.load(Erasing).photos_vacuum_url
    tools, volumes = here().tools, Volumes(address) if address else None
    return erasing.Eraser(tools.catalog, tools.store, here().shadows, volumes)


@app.task(name=names.SEAL, ignore_result=True, time_limit=3600)
def seal() -> None:
    """See :func:`workers.sealing.seal` and :func:`services.wrappings.renew`."""
    tools = here().tools
    given = tools.store.wrapping
    if given is not None and _is_my_turn("seal"):
        _try("seal", lambda: sealing.seal(tools.catalog, tools.store, for_s=_SEALED_FOR_S))
        _try("seal", lambda: wrappings.renew(tools.catalog, given, for_s=_SEALED_FOR_S))


@app.task(name=names.CHECKS, ignore_result=True, time_limit=120)
def checks() -> None:
    """See :func:`workers.checks.schedule.begin_due`."""
    if _is_my_turn("checks"):
        tools, how = here().tools, here().checking
        _try(
            "checks",
            lambda: schedule.begin_due(tools.catalog, here().queue, every_h=how.check_every_h, sample=how.check_sample),
        )


def _is_my_turn(name: str, lease_s: float = _LEASE_S) -> bool:
    try:
        with here().tools.catalog.transaction() as session:
            return processes.acquire(session, name, here().tools.name, lease_s)
    except Unavailable:
        return False


def _try(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Unavailable as error:
        logger().warning("upkeep.postponed", what=name, reason=error.type)
