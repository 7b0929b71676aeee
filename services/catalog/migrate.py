"""Bring the catalog's schema to the present version: ``python -m services.catalog.migrate``, or ``colega migrate``."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from services.catalog import collections
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.settings import CatalogSettings, Environment


def migrate(catalog: Catalog) -> str:
    """Run what is missing, forward only, and see that the collection ``default`` exists.

    Returns:
        The revision that the catalog is at now.
    """
    config = _config()
    with _without_foreign_keys(catalog) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    with catalog.transaction() as session:
        collections.ensure(session, collections.DEFAULT)
    return revision(catalog) or ""


def revision(catalog: Catalog) -> str | None:
    """The revision that the catalog is at, or None for one that was never migrated."""
    with catalog.reading() as session:
        return MigrationContext.configure(session.connection()).get_current_revision()


def is_current(catalog: Catalog) -> bool:
    """Whether the catalog's schema is the one this version of colega was written for."""
    return revision(catalog) == ScriptDirectory.from_config(_config()).get_current_head()


@contextmanager
def _without_foreign_keys(catalog: Catalog) -> Iterator[Connection]:
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
    logging.basicConfig(level=logging.WARNING)
    settings = Environment.of_process().load(CatalogSettings)
    catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
    try:
        sys.stdout.write(f"catalog at revision {migrate(catalog)}\n")
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
