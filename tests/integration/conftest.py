"""What integration tests share beyond the servers of tests/conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from tests.running import Running


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog at the present schema, on SQLite and then on PostgreSQL."""
    catalog = Catalog(catalog_url, busy_s=10.0)
    migrate(catalog)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole service, started once for the run. Each test takes a collection of its own."""
    running = Running(tmp_path_factory.mktemp("service") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def gallery(service: Running) -> str:
    """A new, empty collection of the service."""
    return service.collection()


@pytest.fixture
def enrolled(service: Running, gallery: str, examples: Path) -> str:
    """A collection with the people of ``examples/``."""
    done = service.colega("import", str(examples / "people"), collection=gallery)
    assert done.returncode == 0, done.stderr
    return gallery
