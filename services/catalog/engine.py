"""Connections and transactions for SQLite and PostgreSQL.

On SQLite a writing transaction starts with ``BEGIN IMMEDIATE``: one that reads first and writes later fails at once
with SQLITE_BUSY_SNAPSHOT, whatever the busy timeout. Reading ones are short and never upgraded.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from services.catalog.schema import Row
from services.errors import CannotStart, CatalogUnavailable

_WRITES = "colega_writes"
_BEGIN_WRITING = "BEGIN IMMEDIATE"
_LOOKS_EVERY_S = 0.002
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}


class Catalog:
    """The truth. Hands out transactions; everything else here is a function that takes their session.

    Safe to share between threads; not across a fork (:meth:`after_fork`).

    Args:
        url: SQLAlchemy's.
        busy_s: How long a writer waits for another one.
        pool_size: Connections that are kept.
        answers_within_s: PostgreSQL: an answer that takes longer is waited for no more; None waits for ever.
    """

    def __init__(
        self, url: str, *, busy_s: float = 10.0, pool_size: int = 16, answers_within_s: float | None = None
    ) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = (
            _sqlite(self.url, busy_s, pool_size)
            if self.is_sqlite
            else _postgresql(self.url, busy_s, pool_size, answers_within_s)
        )
        self.beside: Callable[[Session], Callable[[], None] | None] | None = None
        """What is written along with each transaction, at its end; what it returns is called after the commit."""

    @property
    def engine(self) -> Engine:
        """For migrations and for what the queries here cannot say."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A writing transaction: committed at the end of the block, undone when it raises.

        No network and no computing inside: on SQLite everybody else waits.

        Raises:
            CatalogUnavailable: It cannot be reached, was locked for longer than the busy timeout, or its disk is full.
        """
        with self._session(writes=True) as session:
            with session.begin():
                yield session
                committed = None if self.beside is None else self.beside(session)
            if committed is not None:
                committed()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A short reading transaction: one consistent view, never upgraded to a write.

        Raises:
            CatalogUnavailable: It cannot be reached.
        """
        with self._session(writes=False) as session:
            yield session

    def try_lock(self, within_s: float) -> None:
        """On SQLite: see that a writer can begin, and write nothing.

        Raises:
            CatalogUnavailable: Another one has been writing for so long.
        """
        try:
            with self._engine.connect().execution_options(**{_WRITES: False}) as connection:
                driver: Any = connection.connection.driver_connection
                _begin_writing(driver, within_s)
                driver.execute("ROLLBACK")
        except (OperationalError, PoolTimeout, sqlite3.OperationalError) as error:
            raise CatalogUnavailable(_sentence(error)) from error

    @contextmanager
    def _session(self, *, writes: bool) -> Iterator[Session]:
        try:
            with self._engine.connect().execution_options(**{_WRITES: writes}) as connection:
                session = Session(connection, expire_on_commit=False)
                try:
                    yield session
                finally:
                    session.close()
        except (OperationalError, PoolTimeout) as error:
            raise CatalogUnavailable(_sentence(error)) from error
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise CatalogUnavailable(_sentence(error)) from error

    def after_fork(self) -> None:
        """Forget the connections of the parent process without closing them under it."""
        self._engine.dispose(close=False)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def upsert(session: Session, table: type[Row]) -> sqlite.Insert | postgresql.Insert:
    """An ``INSERT`` into *table* that may end in ``ON CONFLICT``, which each database spells its own way."""
    return sqlite.insert(table) if session.get_bind().dialect.name == "sqlite" else postgresql.insert(table)


def _sentence(error: Exception) -> str:
    text = str(getattr(error, "orig", error)).strip().splitlines()[0] if str(error) else type(error).__name__
    if "locked" in text or "lock timeout" in text:
        return "The catalog is locked by another writer. Try again in a moment."
    if "full" in text or "No space" in text or "disk I/O" in text:
        return "The catalog's disk is full or cannot be written. Free some space."
    return "The catalog cannot be reached. See that the database runs and that COLEGA_CATALOG_URL is right."


def _sqlite(url: URL, busy_s: float, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise CannotStart("The catalog must be a file: COLEGA_CATALOG_URL=sqlite:////path/to/catalog.sqlite")
    path = Path(url.database).absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (kind := _file_system(path.parent)) in _NETWORK_FILE_SYSTEMS:
        raise CannotStart(f"{path} lies on {kind}. SQLite needs a local disk; put it elsewhere or use PostgreSQL.")
    # Pooled: when the last connection to a WAL database closes, SQLite copies the whole log back, which costs syncs.
    engine = create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": busy_s, "check_same_thread": False},
        pool_size=pool_size,
        max_overflow=2 * pool_size,
        pool_timeout=busy_s,
    )

    @event.listens_for(engine, "connect")
    def _connected(dbapi: Any, record: object) -> None:  # noqa: ANN401, ARG001 - sqlite3.Connection
        dbapi.isolation_level = None  # The driver starts no transactions of its own.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
            dbapi.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, True)
        if not writes:
            connection.exec_driver_sql("BEGIN DEFERRED")
            return
        try:
            _begin_writing(connection.connection.driver_connection, busy_s)
        except sqlite3.Error as error:
            raise DBAPIError.instance(_BEGIN_WRITING, None, error, sqlite3.Error) from error

    return engine


def _begin_writing(driver: Any, within_s: float) -> None:  # noqa: ANN401 - sqlite3.Connection
    """Begin as soon as nobody else writes.

    SQLite's own wait sleeps longer each time, at last for a tenth of a second: others come and go meanwhile.

    Raises:
        sqlite3.OperationalError: Somebody has been writing for so long, or it cannot be written.
    """
    give_up_at = time.monotonic() + within_s
    was_ms = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                driver.execute(_BEGIN_WRITING)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                    raise
                time.sleep(_LOOKS_EVERY_S)
            else:
                return
    finally:
        driver.execute(f"PRAGMA busy_timeout = {was_ms}")


def _postgresql(url: URL, busy_s: float, pool_size: int, answers_within_s: float | None) -> Engine:
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    options = f"-c lock_timeout={int(busy_s * 1000)} -c idle_in_transaction_session_timeout=60000"
    engine = create_engine(
        url,
        connect_args={"connect_timeout": 5, "options": options, "application_name": f"colega-{os.getpid()}"},
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=busy_s,
        pool_pre_ping=True,
    )
    if answers_within_s is not None:

        @event.listens_for(engine, "do_connect")
        def _connect(dialect: object, record: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ANN401, ARG001 - psycopg's connection
            from services.catalog.impatient import Impatient  # noqa: PLC0415 - Only with PostgreSQL.

            connection = Impatient.connect(*arguments, **named)
            connection.answers_within_s = answers_within_s
            return connection

    return engine


def _file_system(folder: Path) -> str:
    """The kind of file system that *folder* lies on, as the kernel names it; empty where it does not say."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    around = [(len(place), kind) for place, kind in mounts if folder.is_relative_to(place.replace("\\040", " "))]
    return max(around, default=(0, ""))[1]
