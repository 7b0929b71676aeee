"""What crash tests share beyond the servers of tests/conftest.py."""

from collections.abc import Iterator

import pytest

from services.catalog.engine import Catalog


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog at the present schema, on SQLite and then on PostgreSQL."""
    catalog = Catalog(catalog_url)
    yield catalog
    catalog.close()
