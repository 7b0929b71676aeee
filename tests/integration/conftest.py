"""What integration tests share beyond the servers of tests/conftest.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.errors import CannotStart
from services.photos import keys
from services.photos.store import PhotoStore
from tests import default_model
from tests.conftest import missing
from tests.integration import rebuilding
from tests.stack import Stack
from workers.models.bundle import DESCRIPTION


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    """An empty catalog at the present schema, on SQLite and then on PostgreSQL."""
    catalog = Catalog(catalog_url, busy_s=10.0)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def default_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with the default one in it."""
    folder = tmp_path_factory.mktemp("default-models")
    default_model.put(folder)
    return folder


@pytest.fixture
def with_models(servers: Stack, default_models: Path) -> PhotoStore:
    """A photo store that holds nothing, but the default model if a test has brought it there: that takes seconds."""
    try:
        store = servers.photo_store()
    except CannotStart as error:
        missing(str(error))
    described = json.loads((default_models / "casia-webface" / DESCRIPTION).read_text("utf-8"))
    kept = keys.model_file(described["digest"], "x")[:-1]
    store.delete_many([stored.key for stored in store.list() if not stored.key.startswith(kept)])
    return store


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
