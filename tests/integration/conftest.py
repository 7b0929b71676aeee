"""What integration tests share beyond the servers of tests/conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.photos.store import PhotoStore
from tests.integration import rebuilding
from workers.models import casia_webface


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog at the present schema, on SQLite and then on PostgreSQL."""
    catalog = Catalog(catalog_url, busy_s=10.0)
    migrate(catalog)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def default_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the default one in it, which takes ten seconds to make."""
    folder = tmp_path_factory.mktemp("default-models")
    casia_webface.build(folder / "casia-webface")
    return folder


@pytest.fixture(scope="session")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small models in it, ``old`` and ``new``."""
    return rebuilding.bundles(tmp_path_factory.mktemp("two-models"))


@pytest.fixture
def photos(examples: Path) -> list[Path]:
    """Five photos of four people."""
    return sorted((examples / "people").rglob("*.jpg"))


@pytest.fixture
def rebuilt(
    catalog: Catalog, photo_store: PhotoStore, valkey: str, two_models: Path, photos: list[Path]
) -> rebuilding.Gallery:
    """The people of ``examples/`` under the model ``old``, to be rebuilt."""
    gallery = rebuilding.Gallery.opened(catalog, photo_store, valkey, two_models)
    gallery.enrol(photos)
    return gallery
