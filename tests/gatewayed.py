"""A gateway alone, as gunicorn runs it: over an empty catalog, with nothing behind it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from services import trust
from services.catalog import keys
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.local import ports, processes, programs
from services.local.door import Door
from services.local.pair import Pair
from services.local.processes import Child


@dataclass(frozen=True)
class Alone:
    """Where it is, and a key for all of it."""

    door: Door
    key: str
    pid: int

    @property
    def url(self) -> str:
        """By which this machine reaches it."""
        return self.door.url

    def http(self, **headers: str) -> httpx.Client:
        """Without a key; over TLS its own certificate alone is trusted."""
        verify = True if self.door.certificate is None else trust.only(self.door.certificate)
        return httpx.Client(base_url=self.url, headers=headers, verify=verify, timeout=30, trust_env=False)

    def sign_in(self, **headers: str) -> httpx.Response:
        """As the console's form does."""
        with self.http(**headers) as http:
            return http.post("/sign-in", data={"key": self.key}, headers={"Origin": self.url})


@contextmanager
def opened(
    folder: Path, pair: Pair | None = None, *, catalog_url: str | None = None, **settings: str
) -> Iterator[Alone]:
    """A gateway with its files in *folder*, and *settings* by their names in the environment; over SQLite if nothing is said."""
    url = catalog_url or f"sqlite:///{folder / 'catalog.sqlite'}"
    catalog = Catalog(url)
    migrate(catalog)
    with catalog.transaction() as session:
        _, key = keys.issue(session, "test", ["admin"])
    catalog.close()
    broker = f"redis://127.0.0.1:{ports.choose(['nobody'], {})['nobody']}/0"
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "COLEGA_DATA": str(folder),
        "COLEGA_CATALOG_URL": url,
        "COLEGA_BROKER_URL": broker,
        **settings,
    }
    reserved = ports.public(None, 23_000)
    door = Door("127.0.0.1", reserved.port, pair, reserved)
    child = Child(programs.gateway(environment, door), folder / "logs")
    child.start()
    try:
        processes.wait_ready([child])
        yield Alone(door, key, child.pid or 0)
    finally:
        processes.end([child])
        reserved.mark.close()
