"""What ``colega up`` runs on one machine, as data: commands, their settings, and how each shows that it works."""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services import installation, trust
from services.local import seaweedfs, valkey
from services.local.door import Door
from services.local.instance import WRAPPING_KEY, Instance
from services.local.processes import Program
from services.settings.service import BrokerSettings, CatalogSettings, Computing, Environment, PhotoStoreSettings

_HANDED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_CHUNK_ON_GPU = 256
"""Photos a message; a quarter to half a second of a GPU's work."""
_NOT_FOR_CHILDREN = {"COLEGA_URL", "COLEGA_API_KEY"}
_PREFORK = ("worker", "-P", "prefork", "--loglevel=WARNING")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(frozen=True, slots=True)
class Given:
    """Which parts the settings already name; what they name is used, and no server of its kind is started."""

    catalog: bool
    photos: bool
    broker: bool
    wrapping: bool = False
    """The keys that objects are sealed under."""

    @classmethod
    def by(cls, environment: Environment) -> "Given":
        """As the settings of this process say."""
        return cls(
            catalog="catalog_url" in environment.load(CatalogSettings).model_fields_set,
            photos="photos_endpoint" in environment.load(PhotoStoreSettings).model_fields_set,
            broker="broker_url" in environment.load(BrokerSettings).model_fields_set,
            wrapping=environment.names("wrapping_keys"),
        )


def environment(data: Path, instance: Instance, given: Given) -> dict[str, str]:
    """The whole environment of our own processes: the user's settings, and where the servers started here are."""
    ours = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    ours |= {k: v for k, v in os.environ.items() if k.startswith("COLEGA_") and k not in _NOT_FOR_CHILDREN}
    ours.setdefault("PATH", os.defpath)
    ours.setdefault("LANG", "C.UTF-8")
    ours |= {"COLEGA_DATA": str(data), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if not given.catalog:
        ours["COLEGA_CATALOG_URL"] = f"sqlite:///{data / 'catalog' / 'catalog.sqlite'}"
    if not given.photos:
        access_key, secret_key = seaweedfs.keys(instance)
        ours["COLEGA_PHOTOS_ENDPOINT"] = seaweedfs.endpoint(instance.ports)
        ours["COLEGA_PHOTOS_BUCKET"] = seaweedfs.BUCKET
        ours["COLEGA_PHOTOS_FOLDER"] = str(data / "store")
        ours["COLEGA_PHOTOS_VACUUM_URL"] = seaweedfs.master(instance.ports)
        ours["COLEGA_PHOTOS_ACCESS_KEY"], ours["COLEGA_PHOTOS_SECRET_KEY"] = access_key, secret_key
    if not given.broker:
        ours["COLEGA_BROKER_URL"] = valkey.url(instance.ports[valkey.PORT], instance.secret("broker_password"))
    if not given.wrapping and (data / WRAPPING_KEY).exists():
        ours["COLEGA_WRAPPING_KEYS_FILE"] = str(data / WRAPPING_KEY)
    chosen = Environment.of_process(ours)
    if _on_gpu(chosen.load(Computing)) and not chosen.names("chunk"):
        ours["COLEGA_CHUNK"] = str(_CHUNK_ON_GPU)
    return ours


def one_off(name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Program:
    """A step that ends by itself: ``python -m module``."""
    return Program(name, [sys.executable, "-m", module, *arguments], environment)


def searcher(environment: Mapping[str, str]) -> Program:
    """The process that holds the replicas."""
    return Program("searcher", [sys.executable, "-m", "workers.searcher"], environment)


def workers(environment: Mapping[str, str], data: Path, count: int) -> list[Program]:
    """Those that answer searches, those that take photos in, the one that keeps house, and the one that trains.

    A GPU is for photos that are taken in by the hundred: one process with threads uses it, and a search's single photo is
    seen sooner by a processor. COLEGA_DEVICE=cuda puts everything there, in one process each. The last worker uses what is left of the processor, on all cores; it loads nothing before there is something to compute.
    """
    beat = ["-B", "-s", str(data / "beat")]
    cores = str(len(os.sched_getaffinity(0)))
    all_cores = {**environment, "OMP_NUM_THREADS": cores, "OPENBLAS_NUM_THREADS": cores}
    computing = Environment.of_process(environment).load(Computing)
    looking = {**environment, "COLEGA_DEVICE": "cpu"} if computing.device == "auto" else environment
    return [
        _celery("interactive", ["interactive"], looking, 1 if computing.device == "cuda" else count),
        _celery("bulk", ["enrol", "bulk", "rebuild"], environment, 1 if _on_gpu(computing) else count, nice=10),
        _celery("maintenance", ["maintenance"], environment, 1, *beat, nice=10),
        _celery("training", ["training"], all_cores, 1, nice=19, app="workers.tasks.training:app"),
    ]


def _on_gpu(computing: Computing) -> bool:
    """Whether photos are taken in by a GPU here, as far as is seen without asking it."""
    if computing.device == "auto":
        return computing.variant == "auto" and installation.torch_may_use_a_gpu()
    return computing.device == "cuda"


def gateway(environment: Mapping[str, str], door: Door) -> Program:
    """The door. That it is open only to TLS is told to browsers where somebody else vouches for its certificate."""
    settings = ["-c", "python:services.gateway.gunicorn_settings", "--bind", door.address]
    if door.pair is not None:
        settings += ["--certfile", str(door.pair.certificate), "--keyfile", str(door.pair.key)]
        if door.pair.is_ours:
            environment = {**environment, "COLEGA_HSTS_S": "0"}
    argv = [sys.executable, "-m", "gunicorn", *settings, "services.gateway.app:of_process()"]
    return Program("gateway", argv, environment, lambda: health(door) is not None, end_within_s=12.0)


def health(door: Door) -> dict[str, object] | None:
    """What the gateway says of all parts; None while it cannot serve."""
    where = urlsplit(door.url).netloc
    connection: http.client.HTTPConnection | None = None
    try:
        if door.certificate is None:
            connection = http.client.HTTPConnection(where, timeout=3)
        else:
            connection = http.client.HTTPSConnection(where, timeout=3, context=trust.only(door.certificate))
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read()
        found = json.loads(body) if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        if connection is not None:
            connection.close()
    return found if isinstance(found, dict) else None


def _celery(
    name: str,
    queues: list[str],
    environment: Mapping[str, str],
    count: int,
    *more: str,
    nice: int = 0,
    app: str = "workers.tasks.process:app",
) -> Program:
    what = ["-n", f"{name}@%h", "-Q", ",".join(queues), "-c", str(count), *more]
    command = [sys.executable, "-m", "celery", "-A", app, *_PREFORK, *_QUIET, *what]
    return Program(name, command, environment, nice=nice, end_within_s=15.0)
