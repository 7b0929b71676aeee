"""What crash tests share beyond the servers of tests/conftest.py."""

from collections.abc import Iterator

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import migrate


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog, on SQLite and then on PostgreSQL."""
    catalog = Catalog(catalog_url)
    migrate(catalog)
    yield catalog
    catalog.close()
