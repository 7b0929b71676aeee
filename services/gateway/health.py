"""Health: whether this process lives, and whether the parts it needs answer. No key is needed."""

from collections.abc import Callable

from flask import Flask
from flask.typing import ResponseReturnValue

from services.catalog import processes
from services.catalog.migrate import is_current
from services.errors import ColegaError
from services.gateway.doors import Gateway, gateway

OK, AWAY = "ok", "away"


def register(app: Flask) -> None:
    """Add the two paths to *app*."""
    app.add_url_rule("/health/live", "live", live)
    app.add_url_rule("/health/ready", "ready", ready)


def live() -> ResponseReturnValue:
    """This process answers."""
    return {"status": OK}


def ready() -> ResponseReturnValue:
    """200 when the catalog answers and its schema is current; `degraded` while another part is away."""
    found = checks(gateway())
    if found["catalog"] != OK:
        return {"status": AWAY, "checks": found}, 503, {"Retry-After": "2"}
    return {"status": OK if set(found.values()) == {OK} else "degraded", "checks": found}


def checks(mine: Gateway) -> dict[str, str]:
    """Each part: ``ok``, ``away``, or for the catalog ``old`` when its schema is not current."""
    found = {"catalog": _catalog(mine), "photos": _try(lambda: mine.probe.exists("checks/ready"))}
    found["broker"] = _try(mine.queue.depths)
    kinds = _running(mine) if found["catalog"] == OK else set()
    return found | {kind: OK if kind in kinds else AWAY for kind in ("interactive", "searcher", "bulk")}


def _catalog(mine: Gateway) -> str:
    try:
        return OK if is_current(mine.catalog) else "old"
    except ColegaError:
        return AWAY


def _running(mine: Gateway) -> set[str]:
    try:
        with mine.catalog.reading() as session:
            return {process.kind for process in processes.running(session)}
    except ColegaError:
        return set()


def _try(ask: Callable[[], object]) -> str:
    try:
        ask()
    except ColegaError:
        return AWAY
    return OK
