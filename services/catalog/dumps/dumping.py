"""Dumps: what the catalog holds at one moment, as lines of JSON that SQLite and PostgreSQL read alike.

A table is a line that names its columns, then a line a row. Numbers, texts and truths stand as they are, bytes as base64,
JSON as the text that the database has of it: what is null there and what is JSON's ``null`` stay two things.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    LargeBinary,
    Table,
    Text,
    cast,
    func,
    literal,
    select,
    text,
    type_coerce,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from services.catalog.engine import Catalog
from services.catalog.erasing.erasures import Entry
from services.catalog.schema import Face, Job, Model, Photo, now
from services.catalog.tables.every import METADATA
from services.catalog.tables.privacy import Erasure
from services.catalog.tables.sealing import ObjectKey
from services.errors import CatalogUnavailable

VALUE, BYTES, DOCUMENT = "value", "bytes", "json"
"""How a column is written."""
NOT_KEPT = {"leases", "processes", "restores", "sessions"}
"""Tables of who runs and who is signed in: nobody is, after a restore."""
_ROWS = 500


class Heard(Protocol):
    """Takes the wrapped keys that go by, so that it is known which wrapping keys a restore needs."""

    def __call__(self, sealed_key: bytes) -> None:
        """One of them."""


class Named(NamedTuple):
    """An object that a row names."""

    key: str
    sealed: bool
    """Its photo has a key."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose objects belong to a catalog, where rows do not name each of them, and which of them have a key."""

    jobs: frozenset[str]
    """Public ids of jobs that computed: they have reports."""
    unpacked: frozenset[str]
    """Public ids of jobs whose archive is not unpacked to its end."""
    models: frozenset[str]
    """Digests."""
    sealed: frozenset[str]
    """Names of objects, or what those of several begin with."""

    def own(self, key: str) -> bool:
        """Whether the object belongs to the catalog."""
        kind, owner, *_ = key.split("/")
        of_kind = {"archives": self.unpacked, "models": self.models, "reports": self.jobs}
        return owner in of_kind.get(kind, ())

    def seal(self, key: str) -> bool:
        """Whether it has a key."""
        beginnings = [key[: at + 1] for at, character in enumerate(key) if character == "/"]
        return any(name in self.sealed for name in (key, *beginnings, *(name[:-1] for name in beginnings)))


class Snapshot:
    """The catalog at one moment, whatever is written meanwhile. Used until its block ends, not for longer than needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_sqlite = connection.dialect.name == "sqlite"
        self.revision = MigrationContext.configure(connection).get_current_revision() or ""
        self.moment = float(connection.execute(select(now())).scalar_one())
        """By the catalog's clock: what was committed before is in it."""

    def tables(self) -> list[Table]:
        """Those that are kept, each after those that it refers to."""
        return [table for table in METADATA.sorted_tables if table.name not in NOT_KEPT]

    def count(self, table: Table) -> int:
        """How many rows there are."""
        return int(self._connection.execute(select(func.count()).select_from(table)).scalar_one())

    def lines(self, table: Table, heard: Heard | None = None) -> Iterator[bytes]:
        """The table, a line a row, after one that names the columns; each ends with a line feed."""
        kinds = [kind_of(column) for column in table.columns]
        yield _line([[column.name, kind] for column, kind in zip(table.columns, kinds, strict=True)])
        wanted = select(*(self._as_kept(column) for column in table.columns)).order_by(*table.primary_key.columns)
        encoded = [number for number, kind in enumerate(kinds) if kind == BYTES]
        wrapped = table.columns.keys().index("sealed_key") if "sealed_key" in table.columns else None
        for row in self._connection.execute(wanted, execution_options={"yield_per": _ROWS}):
            values: list[Any] = list(row)
            if heard is not None and wrapped is not None and values[wrapped] is not None:
                heard(bytes(values[wrapped]))
            for number in encoded:
                if values[number] is not None:
                    values[number] = base64.b64encode(values[number]).decode()
            yield _line(values)

    def sequences(self) -> dict[str, int]:
        """By table, the last number that was given to a row, of those whose rows are numbered by the database."""
        return {table.name: self._last(table) for table in self.tables() if table.autoincrement_column is not None}

    def objects(self) -> Iterator[Named]:
        """What rows name one by one: chips, photos and thumbnails, by name."""
        for column in (Face.chip_key, Photo.object_key, Photo.thumbnail_key):
            name = (column if self.is_sqlite else column.collate("C")).label("name")
            wanted = select(name, Photo.sealed_key.is_not(None)).where(column.is_not(None)).distinct().order_by(name)
            if column.class_ is Face:
                wanted = wanted.join(Photo, Photo.id == Face.photo_id)
            for key, is_sealed in self._connection.execute(wanted, execution_options={"yield_per": _ROWS}):
                yield Named(str(key), bool(is_sealed))

    def owners(self) -> Owners:
        """Who owns the other objects."""
        of_items = ("import", "upload")
        return Owners(
            jobs=frozenset(self._connection.scalars(select(Job.public_id).where(Job.kind.not_in(of_items)))),
            unpacked=frozenset(
                self._connection.scalars(select(Job.public_id).where(Job.archive, Job.closed.is_(False)))
            ),
            models=frozenset(self._connection.scalars(select(Model.digest))),
            sealed=frozenset(self._connection.scalars(select(ObjectKey.name))),
        )

    def erasures(self) -> Iterator[Entry]:
        """The ledger."""
        with Session(self._connection) as session:
            for row in session.scalars(select(Erasure).order_by(Erasure.id), execution_options={"yield_per": _ROWS}):
                yield Entry.of(row)

    def _as_kept(self, column: Column[Any]) -> Any:  # noqa: ANN401 - an expression of any type
        if not isinstance(column.type, JSON):
            return column
        return type_coerce(column, Text) if self.is_sqlite else cast(column, Text)

    def _last(self, table: Table) -> int:
        column = table.autoincrement_column
        assert column is not None
        last = int(self._connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())
        if self.is_sqlite:
            known = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = :name"
            return max(last, int(self._connection.execute(text(known), {"name": table.name}).scalar_one()))
        name = self._connection.scalar(select(func.pg_get_serial_sequence(literal(table.name), literal(column.name))))
        if name is None:
            return last
        given = self._connection.exec_driver_sql(
            f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {name}"  # noqa: S608 - the database's own name
        )
        return max(last, int(given.scalar_one()))


@contextmanager
def snapshot(catalog: Catalog) -> Iterator[Snapshot]:
    """The catalog as it is now, until the block ends; nobody is kept from writing.

    Raises:
        CatalogUnavailable: It cannot be reached.
    """
    how: dict[str, Any] = {"colega_writes": False}
    if not catalog.is_sqlite:
        how |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    try:
        with catalog.engine.connect().execution_options(**how) as connection, connection.begin():
            if not catalog.is_sqlite:  # Between two reads lies the writing of what was read.
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield Snapshot(connection)
    except OperationalError as error:
        raise CatalogUnavailable(
            "The catalog cannot be read. See that the database runs and that COLEGA_CATALOG_URL is right."
        ) from error


def kind_of(column: Column[Any]) -> str:
    """How its values are written."""
    if isinstance(column.type, JSON):
        return DOCUMENT
    return BYTES if isinstance(column.type, LargeBinary) else VALUE


def _line(values: list[Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
