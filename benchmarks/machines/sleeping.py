"""A simulated machine: a Celery worker that is real but for the models and the photo store.

It takes messages from the broker, claims, commits and logs by :func:`workers.ingestion.ingest`. Started as
``celery -A benchmarks.machines.sleeping:app worker -P threads -c 16``: each thread is a worker.
"""

import os
import random
import socket
import threading
import time
from typing import cast

from benchmarks.machines.stand_ins import CHUNK_S, Models, Store
from services.broker import names
from services.broker.app import celery_app
from services.broker.send import Queue
from services.broker.waking import Waking
from services.catalog.engine import Catalog
from services.settings.service import BrokerSettings, CatalogSettings, Environment
from services.vault import Vault
from workers import ingestion
from workers.ingestion import Tools
from workers.models.registry import Registry

_CONNECTIONS = 32

_environment = Environment.of_process()
_broker_url = _environment.load(BrokerSettings).broker_url.get_secret_value()
_settings = _environment.load(CatalogSettings)
_catalog = Catalog(_settings.catalog_url.get_secret_value(), busy_s=_settings.catalog_busy_s, pool_size=_CONNECTIONS)
_waking = Waking(_broker_url)
_mine = threading.local()
app = celery_app(_broker_url)
_queue = Queue(_broker_url, app)


def _tools() -> Tools:
    """This thread's, under a name of its own. Before its first chunk it waits for up to a chunk's time: no two are in step."""
    if not hasattr(_mine, "tools"):
        name = f"{socket.gethostname()}:{os.getpid()}-{threading.get_ident()}"
        _mine.tools = Tools(_catalog, cast("Vault", Store()), cast("Registry", Models()), _waking, name)
        time.sleep(random.uniform(0, CHUNK_S))
    tools: Tools = _mine.tools
    return tools


@app.task(name=names.INGEST, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
def ingest(item_ids: list[int]) -> None:
    """As :func:`workers.tasks.bulk.ingest`."""
    _queue.ingest_alone(ingestion.ingest(item_ids, _tools()), names.BULK)
