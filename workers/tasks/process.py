"""What a worker process is: the Celery application, and what each child opens when it starts.

Hostile bytes are decoded in these processes, so each may use only so much memory and time: one that is killed takes
only its own photo with it. Nothing heavy is loaded in the parent.
"""

import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import signals

from services import installation
from services.broker import names
from services.broker.app import celery_app
from services.broker.requests import Answering
from services.broker.send import Queue
from services.broker.shadows import Shadows
from services.broker.waking import Waking
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.logs import logger
from services.settings.backup import BackupSettings
from services.settings.erasing import Erasing
from services.settings.privacy import Privacy
from services.settings.service import (
    BrokerSettings,
    CatalogSettings,
    Checking,
    Computing,
    Environment,
    Home,
    Limits,
    MilvusSettings,
    PhotoStoreSettings,
    Retention,
    Telling,
)
from services.targets import Server
from services.trust import trusting
from services.vault import Vault
from workers import delivering, scratch
from workers.ingestion import Tools
from workers.models.registry import Registry, computing_by
from workers.serving.readying import Readying
from workers.tasks import presence, speaking, unwrapping

MODULES = ["workers.tasks.interactive", "workers.tasks.bulk", "workers.tasks.maintenance"]

environment = Environment.of_process()
"""This is the door of the process: settings are read here, once."""

installation.check()
broker_url = environment.load(BrokerSettings).broker_url.get_secret_value()
app = celery_app(broker_url)
app.conf.include = MODULES
speaking.begin(app, environment)


@dataclass(frozen=True, slots=True)
class Here:
    """What a child has open."""

    tools: Tools
    answering: Answering
    shadows: Shadows
    queue: Queue
    kind: str
    retention: Retention
    limits: Limits
    checking: Checking
    privacy: Privacy


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
    store = Vault.of(environment, catalog)
    ways, limits = computing_by(environment.load(Computing)), environment.load(Limits)
    chunk = environment.load(Computing).chunk
    folder = models_folder()
    registry = Registry(catalog, store.objects, folder, computing=ways, max_pixels=limits.max_pixels)
    tools = Tools(catalog, store, registry, Waking(broker_url), passed=passed or (lambda _: None))
    return Here(
        tools,
        Answering(broker_url),
        Shadows(broker_url),
        Queue(broker_url, chunk=chunk),
        kind,
        environment.load(Retention),
        limits,
        environment.load(Checking),
        environment.load(Privacy),
    )


def models_folder() -> Path:
    """Where this machine keeps opened bundles."""
    return environment.load(Home).data / "models"


@signals.worker_init.connect
def _look(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """In the parent: a worker that cannot open what is sealed does not start."""
    unwrapping.require(environment)


@signals.worker_process_init.connect
def _begin(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """Open what tasks need, load the models that are in use, and bound this child's memory."""
    global _here  # noqa: PLW0603 - One a process, set when it starts.
    kind = _kind(sys.argv)
    scratch.drop_left()
    speaking.begin_child(environment, kind)
    _here = open_here(kind)
    if kind != "maintenance":
        try:
            _here.tools.models.pipeline(_here.tools.models.active(), None)
        except ColegaError as error:
            logger().warning("model.not_loaded", reason=str(error))
        bound_memory(environment.load(Computing).worker_memory_mb)
    me = presence.Me(_name(_here), kind, environment.load(Home).data, _here.tools.meters)
    saying = [_here.tools.catalog, me, _here.tools.models.described]
    if kind == "interactive":
        readying = Readying(
            _here.tools.catalog,
            _here.tools.models,
            _here.shadows,
            keeps=_here.limits.shadow_queries > 0,
            opened=lambda: bound_memory(environment.load(Computing).worker_memory_mb),
        )
        saying = [_here.tools.catalog, me, readying.described, readying.ready]
    if kind == "maintenance":
        _deliver(environment.load(Telling))
    threading.Thread(target=presence.beat, args=saying, daemon=True).start()


@signals.worker_process_shutdown.connect
def _end(**_: Any) -> None:  # noqa: ANN401 - Celery's
    if _here is not None:
        presence.leave(_here.tools.catalog, _name(_here), _here.tools.meters)
    speaking.end_child()


def _deliver(telling: Telling) -> None:
    """Have webhooks told from now on, beside the tasks: none waits for an address that does not answer."""
    settings = environment.load(CatalogSettings)
    catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s, pool_size=1)
    how = delivering.How(telling.webhook_private, trusting(telling.ca_file), ours=_own_servers())
    delivering.begin(catalog, how)


def _own_servers() -> frozenset[Server]:
    """Where no webhook goes, whoever made it."""
    urls = [
        environment.load(CatalogSettings).catalog_url.get_secret_value(),
        environment.load(BrokerSettings).broker_url.get_secret_value(),
        environment.load(PhotoStoreSettings).photos_endpoint,
        environment.load(Erasing).photos_vacuum_url,
        environment.load(MilvusSettings).milvus_uri,
        environment.load(BackupSettings).backup_endpoint,
    ]
    return frozenset(server for server in map(Server.of, urls) if server is not None)


@contextmanager
def unbounded_memory() -> Iterator[None]:
    """Let this process take what the machine has; afterwards as much beyond what it has kept as before."""
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (hard, hard))
    try:
        yield
    finally:
        bound_memory(environment.load(Computing).worker_memory_mb)


def bound_memory(more_mb: int) -> None:
    """Let this process map at most *more_mb* beyond what it has now.

    CUDA maps addresses by the hundred gigabyte, whenever it likes. Beside a GPU what counts is data, *more_mb* for each of the
    threads that decode.
    """
    pages = [int(count) for count in Path("/proc/self/statm").read_text("utf-8").split()]
    on_gpu = _here is not None and _here.tools.models.on_gpu
    kind, now, threads = (
        (resource.RLIMIT_DATA, pages[5], len(os.sched_getaffinity(0))) if on_gpu else (resource.RLIMIT_AS, pages[0], 1)
    )
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (now * resource.getpagesize() + threads * more_mb * 2**20, hard))


def _kind(argv: Sequence[str]) -> str:
    """What this worker is, by the queues it was started for."""
    queues = argv[argv.index("-Q") + 1] if "-Q" in argv[:-1] else names.BULK
    return {names.INTERACTIVE: "interactive", names.MAINTENANCE: "maintenance"}.get(queues, "bulk")


def _name(of: Here) -> str:
    return f"{of.kind}@{of.tools.name}"
