"""Real servers for tests: the broker, the photo store and PostgreSQL, each started when first asked for."""

import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from services.local import ports, seaweedfs, valkey
from services.local.instance import Instance
from services.local.processes import Child, Program, wait_ready
from services.photos.store import PhotoStore
from tests import vaults
from tests.postgres import Postgres


class Stack:
    """Servers in a folder of their own; all are gone when the ``with`` block ends.

    Most tests share one for the whole run through the fixtures of ``conftest.py``. A test that kills or stops a
    server makes its own.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="colega-test-"))
        self.folder.chmod(0o755)  # PostgreSQL runs as another user where this is root.
        self.instance = Instance()
        self.instance.ports = ports.choose([valkey.PORT, *seaweedfs.PORTS], {})
        self.children: dict[str, Child] = {}
        self._postgres: Postgres | None = None
        self._migrated: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """End every server, without ceremony, and remove the folder."""
        for child in self.children.values():
            child.kill()
        if self._postgres is not None:
            self._postgres.end()
        seaweedfs.remove_sockets(self.instance.ports)
        shutil.rmtree(self.folder, ignore_errors=True)

    def broker_url(self) -> str:
        """The URL of a running Valkey."""
        port, password = self.instance.ports[valkey.PORT], self.instance.secret("broker_password")
        if "broker" not in self.children:
            self._start(valkey.program(self.folder / "broker", port, password))
        return valkey.url(port, password)

    def empty_broker(self) -> str:
        """The URL of a running Valkey that holds nothing."""
        url = self.broker_url()
        with redis.Redis.from_url(url) as connection:
            connection.flushall()
        return url

    def photo_store(self) -> PhotoStore:
        """A client of a running SeaweedFS."""
        if "store" not in self.children:
            folder = self.folder / "store"
            self._start(seaweedfs.program(folder, self.instance))
            seaweedfs.secure(folder, self.instance)
        return seaweedfs.store(self.instance)

    def empty_photo_store(self) -> PhotoStore:
        """A client of a running SeaweedFS that holds nothing."""
        store = self.photo_store()
        store.delete_many([stored.key for stored in store.list()])
        return store

    def another_empty_bucket(self) -> PhotoStore:
        """A client of another bucket of the same server, which holds nothing."""
        self.photo_store()
        access_key, secret_key = seaweedfs.keys(self.instance)
        store = PhotoStore(seaweedfs.endpoint(self.instance.ports), "elsewhere", access_key, secret_key)
        store.make_bucket()
        store.delete_many([stored.key for stored in store.list()])
        return store

    def backup_settings(self) -> dict[str, str]:
        """The settings by which this photo store's server takes backups."""
        self.photo_store()
        access_key, secret_key = seaweedfs.keys(self.instance)
        return {
            "COLEGA_BACKUP_ENDPOINT": seaweedfs.endpoint(self.instance.ports),
            "COLEGA_BACKUP_ACCESS_KEY": access_key,
            "COLEGA_BACKUP_SECRET_KEY": secret_key,
        }

    def postgres(self) -> Postgres:
        """A running PostgreSQL."""
        if self._postgres is None:
            folder = self.folder / "postgres"
            folder.mkdir(mode=0o755)
            self._postgres = Postgres(folder)
        return self._postgres

    def sqlite_catalog(self) -> Path:
        """A SQLite database at the present schema, to be copied: it is migrated once."""
        path = self.folder / "catalog.sqlite"
        if not path.exists():
            _migrate(f"sqlite:///{path}")
        return path

    def postgres_catalog(self) -> str:
        """The SQLAlchemy URL of a new database at the present schema: a copy of one that is migrated once."""
        if self._migrated is None:
            self._migrated = self.postgres().new_database()
            _migrate(self._migrated)
        return self.postgres().new_database(like=self._migrated)

    def photo_settings(self) -> dict[str, str]:
        """The settings by which a process of ours reaches this photo store and seals what it puts there."""
        self.photo_store()
        access_key, secret_key = seaweedfs.keys(self.instance)
        return {
            "COLEGA_PHOTOS_ENDPOINT": seaweedfs.endpoint(self.instance.ports),
            "COLEGA_PHOTOS_BUCKET": seaweedfs.BUCKET,
            "COLEGA_PHOTOS_ACCESS_KEY": access_key,
            "COLEGA_PHOTOS_SECRET_KEY": secret_key,
            "COLEGA_WRAPPING_KEYS": vaults.WRAPPING_KEY,
        }

    def restart(self, name: str) -> None:
        """Kill ``broker`` or ``store`` with SIGKILL and start it over what it left."""
        child = self.children[name]
        child.kill()
        child.start()
        wait_ready([child])

    def _start(self, program: Program) -> None:
        child = Child(program, self.folder / "logs")
        self.children[program.name] = child
        child.start()
        wait_ready([child])


def _migrate(url: str) -> None:
    from services.catalog.engine import Catalog  # With what migrates, a second to import.
    from services.catalog.migrate import migrate

    catalog = Catalog(url)
    migrate(catalog)
    catalog.close()
