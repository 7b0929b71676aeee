"""The same migrations on both databases give the schema that the code is written for."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from services.catalog import collections
from services.catalog.engine import Catalog
from services.catalog.migrate import is_current, migrate
from services.catalog.schema import Row


def test_migrating_twice_is_fine(catalog: Catalog) -> None:
    migrate(catalog)

    assert is_current(catalog)
    with catalog.reading() as session:
        assert [c.name for c in collections.all_of(session)] == [collections.DEFAULT]


def test_the_migrations_give_the_tables_of_the_schema(catalog: Catalog) -> None:
    with catalog.reading() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": False})
        differences = compare_metadata(context, Row.metadata)

    assert differences == []


def test_an_unmigrated_catalog_is_not_current(catalog_url: str) -> None:
    catalog = Catalog(catalog_url)

    assert not is_current(catalog)
    catalog.close()
