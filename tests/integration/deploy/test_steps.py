"""The steps of a deployment, which wait for what is not there yet."""

from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import bring_up
from services.errors import CatalogUnavailable, PhotoStoreUnavailable
from services.local import await_catalog, ports
from services.photos import bucket
from services.photos.store import PhotoStore


def test_what_waits_for_the_catalog_goes_on_when_somebody_has_migrated_it(tmp_path: Path) -> None:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    waited: list[float] = []

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        bring_up(catalog)

    await_catalog.wait(catalog, pause=meanwhile)

    assert len(waited) == 1
    catalog.close()


def test_a_catalog_that_nobody_migrates_is_named_with_what_to_do(tmp_path: Path) -> None:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")

    with pytest.raises(CatalogUnavailable, match="colega migrate"):
        await_catalog.wait(catalog, within_s=0.0)
    catalog.close()


def test_the_bucket_is_made_and_left_as_it_is(photo_store: PhotoStore) -> None:
    photo_store.put("photos/kept", b"kept")

    bucket.make(photo_store)

    assert photo_store.get("photos/kept") == b"kept"


def test_a_store_that_does_not_come_is_not_waited_for_for_ever() -> None:
    nobody = PhotoStore(f"http://127.0.0.1:{ports.choose(['nobody'], {})['nobody']}", "colega", "key", "secret")

    with pytest.raises(PhotoStoreUnavailable):
        bucket.make(nobody, within_s=0.0)
