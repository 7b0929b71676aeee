"""Rewriting: deleted rows leave the catalog's own files, as far as the database can be made to."""

import sqlite3
from contextlib import closing
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from services.catalog.engine import Catalog
from services.errors import CatalogUnavailable

WHOLE_BYTES = 64 << 20
"""Files and tables up to this size are written anew as a whole, which takes a second, for which writers wait."""
_LOCKED_MS = 2000
_LOCK_NOT_AVAILABLE = "55P03"
_OPEN = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND xact_start < to_timestamp(:before)"
)
_TABLES = text(
    "SELECT quote_ident(c.relname), pg_total_relation_size(c.oid) FROM pg_class c "
    "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname"
)


class Rewritten(NamedTuple):
    """How far deleted rows have left the files."""

    left: str
    """What is in the way, as a sentence; empty where they have."""
    is_whole: bool
    """Whether everything was written anew. Of larger files unused parts may still hold pieces of rows."""


def rewrite(catalog: Catalog, *, before: float) -> Rewritten:
    """Have what was deleted until *before* leave the files.

    SQLite overwrites deleted rows at once (``secure_delete``), in its log: here the log is brought into the file and cut off.
    PostgreSQL lets rows go that nobody can see any more.

    Args:
        catalog: Of which nobody in this thread has a transaction open.
        before: Seconds since 1970 by the catalog's clock.

    Raises:
        CatalogUnavailable: It cannot be reached.
    """
    return _sqlite(catalog) if catalog.is_sqlite else _postgresql(catalog, before)


def _sqlite(catalog: Catalog) -> Rewritten:
    with closing(catalog.engine.raw_connection()) as connection:  # SQLAlchemy's own would begin a transaction.
        cursor = connection.cursor()
        try:
            pages, size = (cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
            is_whole = pages * size <= WHOLE_BYTES
            if is_whole:  # Rows that were moved between pages leave copies in their unused parts.
                cursor.execute("VACUUM")
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise CatalogUnavailable(f"The catalog could not be written anew: {error}.") from error
            is_whole, busy = False, 1
    return Rewritten("Somebody reads or writes the catalog; its log could not be cut off." if busy else "", is_whole)


def _postgresql(catalog: Catalog, before: float) -> Rewritten:
    try:
        return _vacuumed(catalog, before)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
            return Rewritten("A table of the catalog is locked; it could not be written anew.", is_whole=False)
        raise CatalogUnavailable("The catalog cannot be reached, or has no room to be written anew.") from error


def _vacuumed(catalog: Catalog, before: float) -> Rewritten:
    with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.execute(_OPEN, {"before": before}).scalar_one():
            return Rewritten("A transaction from before is still open in the database.", is_whole=False)
        is_whole = True
        connection.exec_driver_sql(f"SET lock_timeout = {_LOCKED_MS}")
        try:
            for table, size in connection.execute(_TABLES).all():
                is_whole &= size <= WHOLE_BYTES
                connection.exec_driver_sql(f"VACUUM {'(FULL) ' if size <= WHOLE_BYTES else ''}{table}")
        finally:
            connection.exec_driver_sql("RESET lock_timeout")
    return Rewritten("", is_whole)
