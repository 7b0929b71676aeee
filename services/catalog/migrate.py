"""Bring the catalog's schema to the present version: ``python -m services.catalog.migrate``, or ``colega migrate``."""

import functools
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from services.catalog import collections
from services.catalog.dumps import backups
from services.catalog.engine import Catalog
from services.errors import CannotStart, CatalogUnavailable, ColegaError
from services.logs import configure, last_words, logger
from services.settings.service import CatalogSettings, Environment, Home

_MIGRATING = 0x636F6C656761
"""PostgreSQL's number for the lock of who migrates."""
_LOCK_MS = 500
"""Half of what PostgreSQL waits before it looks for deadlocks."""
_HELD_BY_OTHERS = {"55P03", "40P01", "SQLITE_BUSY"}  # PostgreSQL: not within lock_timeout; in a deadlock.
_PAUSE_S, _WITHIN_S = (0.1, 0.8), 300.0


def migrate(catalog: Catalog) -> str:
    """Run what is missing, forward only, and see that the collection ``default`` exists.

    Returns:
        The revision that the catalog is at now.

    Raises:
        CannotStart: It is half restored, or a newer version has migrated it to what this one does not work on.
    """
    if (half := backups.half_restored(catalog)) is not None:
        raise CannotStart(half)
    at = revision(catalog)
    if at is not None and not is_known(at):
        if _suits(catalog):
            return at
        raise CannotStart(
            f"The catalog is at revision {at}, of a newer version of colega. Install that one (docs/upgrade.md)."
        )
    bring_up(catalog)
    with catalog.transaction() as session:
        collections.ensure(session, collections.DEFAULT)
    return revision(catalog) or ""


def bring_up(catalog: Catalog, within_s: float = _WITHIN_S) -> None:
    """Run the migrations that are missing, and nothing else; of several who want to at once, one after the other.

    On PostgreSQL those who work on the catalog meanwhile come first: whoever waits for a table in vain gives all tables back
    and begins again, before anybody else is kept waiting or PostgreSQL finds a deadlock and chooses whom to fail.

    Raises:
        CatalogUnavailable: It cannot be reached, or the tables could not be had within *within_s* seconds.
    """
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            _bring_up(catalog)
        except DBAPIError as error:
            if not _is_held_by_others(error):
                raise
            if time.monotonic() > give_up_at:
                raise CatalogUnavailable(
                    "The catalog is too busy to be migrated. Try again when less is written."
                ) from error
            time.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 - so that two do not meet again.
        else:
            return


def _bring_up(catalog: Catalog) -> None:
    with without_foreign_keys(catalog) as connection:
        if not catalog.is_sqlite:
            connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_MS}"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATING})
        upgrade(connection, "head")
        connection.execute(text("UPDATE alembic_version SET beside = :beside"), {"beside": oldest_beside(_head())})
        connection.commit()


def _is_held_by_others(error: DBAPIError) -> bool:
    said = {getattr(error.orig, name, None) for name in ("sqlstate", "sqlite_errorname")}
    return bool(said & _HELD_BY_OTHERS)


def upgrade(connection: Connection, to: str) -> None:
    """Run the migrations up to a revision on a connection of :func:`without_foreign_keys`; the caller commits."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def is_known(wanted: str) -> bool:
    """Whether a revision is one of this version of colega's."""
    return wanted in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def revision(catalog: Catalog) -> str | None:
    """The revision that the catalog is at, or None for one that was never migrated."""
    with catalog.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def is_current(catalog: Catalog) -> bool:
    """Whether this version of colega may work on the catalog: its schema suits, and all of it is there.

    A newer version may have migrated it already, beside this one: a schema that only adds names the oldest revision whose
    code goes on working (docs/upgrade.md).
    """
    return _suits(catalog) and backups.half_restored(catalog) is None


def oldest_beside(wanted: str) -> str:
    """The oldest revision whose code works on the schema of *wanted*, too: what ``beside`` in its file says, else itself."""
    script = ScriptDirectory.from_config(_config()).get_revision(wanted)
    assert script is not None
    return str(getattr(script.module, "beside", wanted))


def _suits(catalog: Catalog) -> bool:
    at, mine = revision(catalog), _head()
    if at == mine:
        return True
    if at is None or is_known(at):
        return False
    with catalog.reading() as session:
        beside: str | None = session.scalar(text("SELECT beside FROM alembic_version"))
    return beside is not None and beside <= mine


@functools.cache
def _head() -> str:
    """Of this version: asked for as often as somebody wants to know how things are, and reading the files takes its time."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


@contextmanager
def without_foreign_keys(catalog: Catalog) -> Iterator[Connection]:
    """A writing connection on which SQLite may replace a table that others refer to, which it does by copying it.

    With foreign keys on, dropping the old table would delete what refers to it (https://sqlite.org/lang_altertable.html, 7).
    """
    with catalog.engine.connect().execution_options(colega_writes=True) as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        if not catalog.is_sqlite:
            yield connection
            return
        driver.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            connection.rollback()  # Of a migration that failed: within a transaction the next line does nothing.
            driver.execute("PRAGMA foreign_keys=ON")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def main() -> None:
    """The command of the one-off process that runs before everything else."""
    environment = Environment.of_process()
    settings, home = environment.load(CatalogSettings), environment.load(Home)
    configure(home)
    catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
    try:
        logger().info("catalog.migrated", revision=migrate(catalog))
    except ColegaError as error:
        sys.exit(last_words(home, error))


if __name__ == "__main__":
    main()
