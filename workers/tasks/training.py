"""The training worker: one computation at a time, in a child of its own. A Celery application apart from the others'.

Started with ``celery -A workers.tasks.training:app worker -Q training -c 1``. Parent and waiting child are light: what
computes (torch above all) is imported when the first message comes, in a child that ends with its computation and so
gives all memory back. A child that is asked to end gives its computation back first, and whoever takes it next goes on
from the last checkpoint.
"""

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import billiard
from celery import signals

from services import installation
from services.broker import names
from services.broker.app import celery_app
from services.catalog.engine import Catalog
from services.errors import Unavailable
from services.logs import logger
from services.settings.backup import BackupSettings
from services.settings.service import BrokerSettings, CatalogSettings, Computing, Environment, Home, Limits
from workers.tasks import presence, speaking, unwrapping

if TYPE_CHECKING:
    from workers.computing import Parts

KIND = "training"

environment = Environment.of_process()
installation.check()
app = celery_app(environment.load(BrokerSettings).broker_url.get_secret_value())
app.conf.worker_max_tasks_per_child = 1
speaking.begin(app, environment)

_name = ""
_catalog: Catalog | None = None


@signals.worker_init.connect
def _look(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """In the parent: a worker that cannot open what is sealed does not start."""
    unwrapping.require(environment)


@signals.worker_process_init.connect
def _begin(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """Open the catalog, and say that there is a worker."""
    global _catalog, _name  # noqa: PLW0603 - One a process, set when it starts.
    settings = environment.load(CatalogSettings)
    _catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s, pool_size=2)
    _name = f"{socket.gethostname()}:{os.getpid()}"
    me = presence.Me(f"{KIND}@{_name}", KIND, environment.load(Home).data)
    # The beating thread never takes SIGTERM: an idle child ends by it, one that computes gives back first.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=presence.beat, args=(_catalog, me, dict), daemon=True).start()
    speaking.begin_child(environment, KIND)  # It begins a thread, too.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


@signals.worker_process_shutdown.connect
def _end(**_: Any) -> None:  # noqa: ANN401 - Celery's
    if _catalog is not None:
        presence.leave(_catalog, f"{KIND}@{_name}")
    speaking.end_child()


@signals.worker_shutting_down.connect
def _pass_on(**_: Any) -> None:  # noqa: ANN401 - Celery's
    """In the parent: Celery would wait for the child's computation to end, which may take hours."""
    for child in billiard.active_children():
        os.kill(child.pid, signal.SIGTERM)


@app.task(name=names.COMPUTE, acks_late=False, ignore_result=True)
def compute(job_id: int) -> None:
    """See :func:`workers.computing.run`. Acknowledged at once; the lease of its row is what starts it again."""
    assert _catalog is not None, "Only a worker's child runs tasks."
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # The thread that renews the lease waits for it.
    from workers import computing  # noqa: PLC0415 - Heavy: imported by whoever computes.

    try:
        computing.run(job_id, _parts(_catalog))
    except Unavailable as error:
        logger().warning("computation.postponed", reason=error.type)


def _parts(catalog: Catalog) -> "Parts":
    from services.broker.shadows import Shadows  # noqa: PLC0415 - As above.
    from services.vault import Vault  # noqa: PLC0415
    from workers.computing import Parts  # noqa: PLC0415
    from workers.models.registry import Registry, computing_by  # noqa: PLC0415

    data, limits = environment.load(Home).data, environment.load(Limits)
    store = Vault.of(environment, catalog)
    ways = computing_by(environment.load(Computing))
    models = Registry(catalog, store.objects, data / "models", computing=ways, max_pixels=limits.max_pixels)
    parent = os.getppid()

    def pause(seconds: float) -> bool:
        asked = signal.sigtimedwait({signal.SIGTERM}, seconds) is not None
        return asked or os.getppid() != parent

    return Parts(
        catalog,
        store,
        models,
        _name,
        data / "computing",
        limits.max_pixels,
        pause=pause,
        leave=lambda: os._exit(0),
        backups=environment.load(BackupSettings),
        queries=Shadows(environment.load(BrokerSettings).broker_url.get_secret_value()).read,
    )
