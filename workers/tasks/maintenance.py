"""Celery's side of upkeep: what beat sends, done by one process at a time."""

from collections.abc import Callable

from services.broker import names
from services.catalog import processes
from services.errors import Unavailable
from services.logs import logger
from workers import pruning, upkeep
from workers.tasks.process import app, here

SWEEP_EVERY_S, TIDY_EVERY_S, ORPHANS_EVERY_S, PRUNE_EVERY_S = 3.0, 30.0, 3600.0, 3600.0
_LEASE_S = 60.0

app.conf.beat_scheduler = "celery.beat:Scheduler"  # The usual one pickles its state into a file; ours needs none.
app.conf.beat_schedule = {
    "sweep": {"task": names.SWEEP, "schedule": SWEEP_EVERY_S, "options": {"expires": SWEEP_EVERY_S}},
    "tidy": {"task": names.TIDY, "schedule": TIDY_EVERY_S, "options": {"expires": TIDY_EVERY_S}},
    "orphans": {"task": names.ORPHANS, "schedule": ORPHANS_EVERY_S, "options": {"expires": 600.0}},
    "prune": {"task": names.PRUNE, "schedule": PRUNE_EVERY_S, "options": {"expires": 600.0}},
}


@app.task(name=names.SWEEP, ignore_result=True, time_limit=120)
def sweep() -> None:
    """See :func:`workers.upkeep.sweep`."""
    if _is_my_turn("sweep"):
        _try("sweep", lambda: upkeep.sweep(here().tools.catalog, here().queue))


@app.task(name=names.TIDY, ignore_result=True, time_limit=600)
def tidy() -> None:
    """See :func:`workers.upkeep.tidy`."""
    if _is_my_turn("tidy"):
        days = here().retention.keep_unassigned_days
        _try("tidy", lambda: upkeep.tidy(here().tools.catalog, here().tools.store, keep_unassigned_days=days))


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


def _is_my_turn(name: str) -> bool:
    try:
        with here().tools.catalog.transaction() as session:
            return processes.acquire(session, name, here().tools.name, _LEASE_S)
    except Unavailable:
        return False


def _try(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Unavailable as error:
        logger().warning("upkeep.postponed", what=name, reason=error.type)
