"""What must work before there is a gateway, or without one: migrations, the first keys, and looking after what is kept."""

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence

from services.catalog import collections as collection_rows
from services.catalog import keys
from services.catalog.auditing import writing as audit
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate as migrate_catalog
from services.local import lock, ports, seaweedfs, valkey
from services.local.instance import FILE_NAME, Instance
from services.local.programs import Given
from services.local.supervisor import Supervisor
from services.settings.service import CatalogSettings, Environment, Home


def migrate(environment: Environment) -> str:
    """Bring the catalog to the present schema; its revision."""
    catalog = _catalog(environment)
    try:
        return migrate_catalog(catalog)
    finally:
        catalog.close()


def create_key(environment: Environment, name: str, scopes: Sequence[str], *, days: float | None = None) -> str:
    """A new key in the catalog itself, shown once; it expires after so many *days*, or never.

    Raises:
        InvalidRequest: A scope is unknown.
    """
    catalog = _catalog(environment)
    try:
        with catalog.transaction() as session:
            made, secret = keys.issue(session, name, scopes, expires_in_days=days)
            audit.alone(session, audit.Entry(round(time.time(), 3), None, "key.create", object=made.public_id))
            return secret
    finally:
        catalog.close()


def collections(environment: Environment) -> list[str]:
    """The names of all collections."""
    catalog = _catalog(environment)
    try:
        with catalog.reading() as session:
            return [collection.name for collection in collection_rows.all_of(session)]
    finally:
        catalog.close()


@contextlib.contextmanager
def photo_store(environment: Environment, *, make: bool = False) -> Iterator[None]:
    """See that there is a photo store inside of the block: that of the data folder is started where no service runs it.

    Nothing is started where the settings name one. With *make* the data folder may be one that is not there yet. Call it from
    the main thread.

    Raises:
        CannotStart: It does not get ready.
    """
    data = environment.load(Home).data.absolute()
    is_ours = (make or (data / FILE_NAME).is_file()) and not Given.by(environment).photos
    if not is_ours or any(lock.holders(data / lock.FILE_NAME)):
        yield
        return
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    instance = Instance.read(data)
    with contextlib.ExitStack() as stack, Supervisor(data, _unsaid) as supervisor:
        instance.ports = ports.choose([valkey.PORT, *seaweedfs.PORTS], instance.ports)
        seaweedfs.keys(instance)
        instance.write(data)
        stack.callback(seaweedfs.remove_sockets, instance.ports)
        seaweedfs.remove_sockets(instance.ports)
        supervisor.wait_ready(supervisor.start(seaweedfs.program(data / "store", instance)))
        if make:
            seaweedfs.secure(data / "store", instance)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C is for whoever works in the block.
        yield


def _unsaid(line: str) -> None:
    """The end of the store's process; whoever works with it notices."""


def _catalog(environment: Environment) -> Catalog:
    """The catalog that is named, or the one in the data folder that ``colega up`` uses."""
    settings = environment.load(CatalogSettings)
    if environment.names("catalog_url"):
        return Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
    path = environment.load(Home).data.absolute() / "catalog" / "catalog.sqlite"
    return Catalog(f"sqlite:///{path}", busy_s=settings.catalog_busy_s)
