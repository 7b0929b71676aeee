"""Loading: a dump becomes a catalog again, on SQLite or PostgreSQL, whichever it came from.

Killed anywhere and begun again it goes on: what is whole is noted in the transaction that made it so, and until all of it is
there the catalog says of itself that it is half restored (:mod:`services.catalog.dumps.backups`).
"""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from sqlalchemy import (
    JSON,
    BindParameter,
    Connection,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    func,
    inspect,
    literal,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy import delete as sql_delete
from sqlalchemy import insert as sql_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from services.catalog import computations, migrate
from services.catalog.dumps import backups
from services.catalog.dumps.dumping import BYTES, DOCUMENT
from services.catalog.engine import Catalog
from services.catalog.running import processes
from services.catalog.schema import Collection, Computation, Item, Job, now
from services.catalog.tables.backup import Restore
from services.catalog.tables.rebuild import Chunk
from services.catalog.tables.request import Request
from services.catalog.tables.webhook import Delivery
from services.errors import CatalogUnavailable, Conflict

_ROWS = 500
_HELD = ("people", "photos", "faces", "jobs")
"""Tables of what somebody would miss."""


def require_idle(catalog: Catalog) -> None:
    """See that nobody works on the catalog.

    Raises:
        Conflict: A process does; the sentence names them.
    """
    with catalog.reading() as session:
        if not inspect(session.connection()).has_table("processes"):
            return
        names = sorted(process.id for process in processes.running(session))
    if names:
        raise Conflict(f"The service runs on this catalog: {', '.join(names)}. End it first.")


def held(catalog: Catalog) -> dict[str, int]:
    """How many rows there are of what somebody would miss; nothing of an empty catalog."""
    with catalog.reading() as session:
        connection = session.connection()
        there = set(inspect(connection).get_table_names())
        counts = {
            name: int(connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one())  # noqa: S608 - one of ours
            for name in _HELD
            if name in there
        }
    return {name: count for name, count in counts.items() if count}


def begin(catalog: Catalog, revision: str, backup: str, destination: str) -> None:
    """Empty the catalog, give it the schema of *revision*, and note that it is being restored, all at once."""
    with migrate.without_foreign_keys(catalog) as connection:
        there = MetaData()
        there.reflect(connection)
        there.drop_all(connection)
        migrate.upgrade(connection, revision)
        row = {"backup": backup, "destination": destination[:1024], "stage": "rows", "tables": []}
        connection.execute(sql_insert(Restore).values(**row, began_at=now()))
        connection.commit()


class Loading:
    """A catalog that is being filled. Use it in a ``with`` block of :func:`loading`."""

    def __init__(self, connection: Connection, *, is_sqlite: bool) -> None:
        self._connection, self._is_sqlite = connection, is_sqlite
        there = MetaData()
        there.reflect(connection)
        connection.rollback()
        self.tables = [table for table in there.sorted_tables if table.name not in {"alembic_version", "restores"}]
        """Each after those that it refers to."""

    def whole(self) -> set[str]:
        """The tables that are loaded already."""
        found = self._connection.scalar(select(Restore.tables))
        self._connection.rollback()
        return set(found or ())

    def load(self, table: Table, lines: Iterable[bytes]) -> int:
        """Fill a table, in one transaction; what was in it goes. Returns how many rows that were.

        Raises:
            CatalogUnavailable: The database does not take them.
        """
        rest, count = iter(lines), 0
        columns = json.loads(next(rest))
        values = {name: self._bound(table, name, kind) for name, kind in columns}
        insert = sql_insert(table).values(values)
        encoded = [name for name, kind in columns if kind == BYTES]
        names = [name for name, _ in columns]
        try:
            self._connection.execute(sql_delete(table))
            while rows := [dict(zip(names, json.loads(line), strict=True)) for line in islice(rest, _ROWS)]:
                for row in rows:
                    for name in encoded:
                        row[name] = None if row[name] is None else base64.b64decode(row[name])
                self._connection.execute(insert, rows)
                count += len(rows)
            whole = self._connection.scalar(select(Restore.tables)) or []
            self._connection.execute(update(Restore).values(tables=[*whole, table.name]))
            self._connection.commit()
        except DBAPIError as error:
            raise CatalogUnavailable(
                f"The catalog does not take the rows of {table.name}: {type(error.orig).__name__}. See the database's log."
            ) from error
        finally:
            self._connection.rollback()
        return count

    def settle(self, sequences: Mapping[str, int]) -> None:
        """Have the database number rows after those that are there, and see that no row refers to one that is not.

        Raises:
            Conflict: One does.
        """
        for table in self.tables:
            last = sequences.get(table.name, 0)
            if last and self._is_sqlite:
                self._after(table, last)
            elif last and (column := table.autoincrement_column) is not None:
                found = select(func.pg_get_serial_sequence(literal(table.name), literal(column.name)))
                if (name := self._connection.scalar(found)) is not None:
                    self._connection.execute(text("SELECT setval(:name, :last)"), {"name": name, "last": last})
        if self._is_sqlite and (odd := self._connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
            self._connection.rollback()
            raise Conflict(f"A row of {odd[0]} refers to one of {odd[2]} that is not there. The backup is damaged.")
        self._connection.commit()

    def _after(self, table: Table, last: int) -> None:
        """Only tables that say so remember numbers of rows that are gone."""
        made = self._connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table.name})
        if "AUTOINCREMENT" in str(made).upper():
            self._connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
            self._connection.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"),
                {"name": table.name, "last": last},
            )

    def _bound(self, table: Table, name: str, kind: str) -> Any:  # noqa: ANN401 - an expression of any type
        if kind != DOCUMENT:
            return bindparam(name, type_=table.c[name].type)
        given: BindParameter[Any] = bindparam(name, type_=Text())
        return type_coerce(given, Text) if self._is_sqlite else cast(given, JSON)


@contextmanager
def loading(catalog: Catalog) -> Iterator[Loading]:
    """Fill a catalog inside of the block, tables in any order."""
    with migrate.without_foreign_keys(catalog) as connection:
        yield Loading(connection, is_sqlite=catalog.is_sqlite)


def finish(session: Session) -> None:
    """After rows and ledger: nobody works on anything any more, and what was not done to its end waits for somebody.

    Every collection begins a new epoch: what searchers and clients remember of numbers means nothing now. A backup that was
    under way is none any more.
    """
    for number in session.scalars(select(Collection.id)).all():
        session.execute(update(Collection).where(Collection.id == number).values(epoch=secrets.token_hex(8)))
    free: dict[str, Any] = {"claim": None, "claimed_by": None, "claim_expires_at": None}
    session.execute(update(Item).where(Item.claim.is_not(None)).values(**free))
    session.execute(update(Chunk).where(Chunk.claim.is_not(None)).values(**free))
    session.execute(update(Delivery).where(Delivery.claimed_by.is_not(None)).values(claimed_by=None))
    open_ = Computation.state.not_in(computations.ENDS)
    backing = select(Job.id).where(Job.kind == computations.BACKUP)
    ended = {"state": "cancelled", "finished_at": now(), "holder": None}
    session.execute(update(Computation).where(open_, Computation.job_id.in_(backing)).values(**ended))
    session.execute(update(Computation).where(open_).values(state="queued", holder=None, lease_expires_at=None))
    session.execute(sql_delete(Request).where(Request.status.is_(None)))
    session.execute(update(Restore).values(stage="objects"))


def end(session: Session) -> None:
    """The restore has come to its end: everything may start."""
    session.execute(sql_delete(Restore))


def under_way(catalog: Catalog) -> tuple[str, str] | None:
    """The name of the backup that is being restored, and what is being put back; None: nothing is."""
    with catalog.reading() as session:
        row = backups.under_way(session)
        return None if row is None else (row.backup, row.stage)
