"""Models in catalog, photo store and the folders of machines: they follow each other."""

import shutil
from pathlib import Path

import pytest

from services.catalog import models
from services.catalog.engine import Catalog
from services.photos import keys
from services.photos.store import PhotoStore
from workers.models import assembly, description
from workers.models.bundle import Bundle
from workers.models.registry import Registry, share
from workers.tasks.prepare import prepare

pytestmark = pytest.mark.slow


def registry(catalog: Catalog, store: PhotoStore, folder: Path) -> Registry:
    return Registry(catalog, store, folder, max_pixels=10**7)


def test_a_variant_that_was_made_anew_reaches_every_machine_and_stays(
    catalog: Catalog, photo_store: PhotoStore, tmp_path: Path
) -> None:
    """The default model's too, over a restart; its digest is the same all along."""
    digest = prepare(catalog, photo_store, tmp_path / "one")
    made = Bundle.open(Path(shutil.copytree(tmp_path / "one" / "casia-webface", tmp_path / "made")))
    (made.directory / description.INT8_NARROW).unlink()
    made = assembly.redescribe(
        made, {"variants": {"fp32": {"files": ["model.onnx"]}, "int8": {"files": ["int8.onnx"]}}}
    )
    share(made, photo_store)
    with catalog.transaction() as session:
        models.by_digest(session, digest).details = dict(made.description)

    prepare(catalog, photo_store, tmp_path / "one")

    for folder in ("one", "another"):
        found = registry(catalog, photo_store, tmp_path / folder).bundle(digest)
        assert (found.digest, found.ways("int8")) == (digest, [description.INT8])
        again = registry(catalog, photo_store, tmp_path / folder).bundle(digest)
        assert again.directory.name == digest
    stored = {stored.key for stored in photo_store.list(keys.model_file(digest, "x")[:-1])}
    assert keys.model_file(digest, description.INT8_NARROW) not in stored


def test_copies_of_models_that_are_gone_are_removed_at_the_start(
    catalog: Catalog, photo_store: PhotoStore, tmp_path: Path
) -> None:
    digest = prepare(catalog, photo_store, tmp_path)
    registry(catalog, photo_store, tmp_path).bundle(digest)
    gone, kept = tmp_path / ("0" * 64), tmp_path / "mine"
    gone.mkdir()
    kept.mkdir()

    prepare(catalog, photo_store, tmp_path)

    assert not gone.exists()
    assert kept.exists()
    assert (tmp_path / "casia-webface").exists()
