"""What a worker process is: the Celery application, and what each child opens when it starts.

Hostile bytes are decoded in these processes, so each may use only so much memory and time: one that is killed takes
only its own photo with it. Nothing heavy is loaded in the parent.
"""

import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import signals

from services.broker import names
from services.broker.app import celery_app
from services.broker.requests import Answering, Waking
from services.broker.send import Queue
from services.catalog import processes
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.logs import configure, logger
from services.photos.store import PhotoStore
from services.settings import (
    BrokerSettings,
    CatalogSettings,
    Computing,
    Environment,
    Home,
    Limits,
    PhotoStoreSettings,
    Retention,
)
from workers.ingestion import Tools
from workers.models.registry import Registry

MODULES = ["workers.tasks.interactive", "workers.tasks.bulk", "workers.tasks.maintenance"]
_BEAT_EVERY_S = 5.0

environment = Environment.of_process()
"""This is the door of the process: settings are read here, once."""

broker_url = environment.load(BrokerSettings).broker_url.get_secret_value()
app = celery_app(broker_url)
app.conf.include = MODULES


@dataclass(frozen=True, slots=True)
class Here:
    """What a child has open."""

    tools: Tools
    answering: Answering
    queue: Queue
    kind: str
    retention: Retention
    limits: Limits


_here: Here | None = None


def here() -> Here:
    """What this child has open; opened when it started."""
    assert _here is not None, "Only a worker's child runs tasks."
    return _here


def open_here(kind: str, passed: Callable[[str], None] | None = None) -> Here:
    """Open catalog, photo store, broker and models by this process's settings."""
    catalog_settings = environment.load(CatalogSettings)
    catalog = Catalog(
        catalog_settings.catalog_url.get_secret_value(), busy_s=catalog_settings.catalog_busy_s, pool_size=2
    )
    store = PhotoStore.of(environment.load(PhotoStoreSettings))
    computing, limits = environment.load(Computing), environment.load(Limits)
    folder = models_folder()
    registry = Registry(catalog, store, folder, variant=computing.variant, max_pixels=limits.max_pixels)
    tools = Tools(catalog, store, registry, Waking(broker_url), passed=passed or (lambda _: None))
    return Here(tools, Answering(broker_url), Queue(broker_url), kind, environment.load(Retention), limits)


def models_folder() -> Path:
    """Where this machine keeps opened bundles."""
    return environment.load(Home).data / "models"


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:  # noqa: ANN401 - Celery's
    configure(environment.load(Home))


@signals.worker_process_init.connect
def _begin(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """Open what tasks need, load the models that are in use, and bound this child's memory."""
    global _here  # noqa: PLW0603 - One a process, set when it starts.
    kind = _kind(sys.argv)
    _here = open_here(kind)
    if kind != "maintenance":
        try:
            _here.tools.models.pipeline(_here.tools.models.active(), None)
        except ColegaError as error:
            logger().warning("model.not_loaded", reason=str(error))
        bound_memory(environment.load(Computing).worker_memory_mb)
    threading.Thread(target=_beat, args=(_here,), daemon=True).start()


@signals.worker_process_shutdown.connect
def _end(**_: Any) -> None:  # noqa: ANN401 - Celery's
    if _here is not None:
        try:
            with _here.tools.catalog.transaction() as session:
                processes.gone(session, _name(_here))
        except ColegaError:
            pass  # It is forgotten when it was not seen for a while.


def bound_memory(more_mb: int) -> None:
    """Let this process map at most *more_mb* beyond what it has now."""
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[0])
    limit = pages * resource.getpagesize() + more_mb * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _beat(of: Here) -> None:
    """Say every few seconds that this child runs, and with which models. A silent one is taken for gone."""
    while True:
        try:
            with of.tools.catalog.transaction() as session:
                processes.beat(
                    session,
                    _name(of),
                    kind=of.kind,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    details=of.tools.models.described(),
                )
        except ColegaError:
            pass  # The catalog is away; whoever asks sees that by itself.
        time.sleep(_BEAT_EVERY_S)


def _kind(argv: Sequence[str]) -> str:
    """What this worker is, by the queues it was started for."""
    queues = argv[argv.index("-Q") + 1] if "-Q" in argv[:-1] else names.BULK
    return {names.INTERACTIVE: "interactive", names.MAINTENANCE: "maintenance"}.get(queues, "bulk")


def _name(of: Here) -> str:
    return f"{of.kind}@{of.tools.name}"
