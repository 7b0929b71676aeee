"""A process of a version before: the statements of the schema that it found at its start, again and again.

``old_code.py URL``: says ``ready`` when it has found the schema, goes on until its standard input is closed, and says then how
many people it has added and read back.
"""

import select
import sys
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from services.catalog.engine import Catalog

_VALUES: dict[type[sa.types.TypeEngine[Any]], Any] = {
    sa.Boolean: True,
    sa.JSON: [],
    sa.Integer: 1,
    sa.LargeBinary: b"x",
    sa.Float: 1.0,
    sa.Numeric: 1.0,
}


def tables(catalog: Catalog) -> sa.MetaData:
    """The schema as it is now."""
    found = sa.MetaData()
    with catalog.engine.connect() as connection:
        found.reflect(connection)
    return found


def row(table: sa.Table, number: int, /, **given: object) -> dict[str, Any]:
    """A row for *table*: a value for each of its columns, and row 1 of each table that it refers to."""
    return {column.name: given.get(column.name, _value(column, number)) for column in table.columns}


def in_order(known: sa.MetaData) -> Iterator[sa.Table]:
    """Its tables, each after those that it refers to."""
    return (table for table in known.sorted_tables if table.name != "alembic_version")


def main() -> None:
    """Work until told to end."""
    catalog = Catalog(sys.argv[1], busy_s=30.0)
    known = tables(catalog)
    collections, people, log = known.tables["collections"], known.tables["people"], known.tables["log"]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    added = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        number = 1000 + added
        with catalog.transaction() as session:
            session.execute(collections.update().values(head=number))
            session.execute(people.insert(), row(people, number, id=number))
            session.execute(log.insert(), row(log, number, sequence=number))
        with catalog.reading() as session:
            assert session.execute(people.select().where(people.c.id == number)).one().id == number
        added += 1
        time.sleep(0.002)
    sys.stdout.write(f"{added}\n")
    catalog.close()


def _value(column: "sa.Column[Any]", number: int) -> object:
    if column.foreign_keys:
        return 1
    if column.primary_key and isinstance(column.type, sa.Integer):
        return number
    for kind, value in _VALUES.items():
        if isinstance(column.type, kind):
            return value
    return f"{column.name[:8]} {number}"


if __name__ == "__main__":
    main()
