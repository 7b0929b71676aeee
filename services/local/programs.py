"""What ``colega up`` runs on one machine, as data: commands, their settings, and how each shows that it works."""

import http.client
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from services.local import seaweedfs, valkey
from services.local.instance import Instance
from services.local.processes import Program
from services.settings import BrokerSettings, CatalogSettings, Environment, PhotoStoreSettings

_HANDED_ON = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_NOT_FOR_CHILDREN = {"COLEGA_URL", "COLEGA_API_KEY"}
_CELERY = ("-m", "celery", "-A", "workers.tasks.process:app", "worker", "-P", "prefork", "--loglevel=WARNING")
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(frozen=True, slots=True)
class Given:
    """Which parts the settings already name; what they name is used, and no server of its kind is started."""

    catalog: bool
    photos: bool
    broker: bool

    @classmethod
    def by(cls, environment: Environment) -> "Given":
        """As the settings of this process say."""
        return cls(
            catalog="catalog_url" in environment.load(CatalogSettings).model_fields_set,
            photos="photos_endpoint" in environment.load(PhotoStoreSettings).model_fields_set,
            broker="broker_url" in environment.load(BrokerSettings).model_fields_set,
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
        ours["COLEGA_PHOTOS_ACCESS_KEY"], ours["COLEGA_PHOTOS_SECRET_KEY"] = access_key, secret_key
    if not given.broker:
        ours["COLEGA_BROKER_URL"] = valkey.url(instance.ports[valkey.PORT], instance.secret("broker_password"))
    return ours


def one_off(name: str, module: str, environment: Mapping[str, str], *arguments: str) -> Program:
    """A step that ends by itself: ``python -m module``."""
    return Program(name, [sys.executable, "-m", module, *arguments], environment)


def searcher(environment: Mapping[str, str]) -> Program:
    """The process that holds the replicas."""
    return Program("searcher", [sys.executable, "-m", "workers.searcher"], environment)


def workers(environment: Mapping[str, str], data: Path, count: int) -> list[Program]:
    """Those that answer searches, those that take photos in, and the one that keeps house."""
    beat = ["-B", "-s", str(data / "beat")]
    return [
        _celery("interactive", ["interactive"], environment, count),
        _celery("bulk", ["enrol", "bulk", "rebuild"], environment, count, nice=10),
        _celery("maintenance", ["maintenance"], environment, 1, *beat, nice=10),
    ]


def gateway(environment: Mapping[str, str], url: str) -> Program:
    """The door."""
    address = urlsplit(url).netloc
    settings = ["-c", "python:services.gateway.gunicorn_settings", "--bind", address]
    argv = [sys.executable, "-m", "gunicorn", *settings, "services.gateway.app:of_process()"]
    return Program("gateway", argv, environment, lambda: health(url) is not None, end_within_s=12.0)


def health(url: str) -> dict[str, object] | None:
    """What the gateway says of all parts; None while it cannot serve."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=3)
    try:
        connection.request("GET", "/health/ready")
        response = connection.getresponse()
        body = response.read()
        found = json.loads(body) if response.status == http.HTTPStatus.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) else None


def _celery(
    name: str, queues: list[str], environment: Mapping[str, str], count: int, *more: str, nice: int = 0
) -> Program:
    command = [sys.executable, *_CELERY, *_QUIET, "-n", f"{name}@%h", "-Q", ",".join(queues), "-c", str(count), *more]
    return Program(name, command, environment, nice=nice, end_within_s=15.0)
