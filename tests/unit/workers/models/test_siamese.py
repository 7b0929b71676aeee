"""Siamese networks from scratch as data: whole or refused, and computed as they say."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces.values import Chip
from workers.models import siamese
from workers.models.bundle import Bundle
from workers.models.siamese import Siamese
from workers.models.siamese_layers import CROP_PX, Layers, shapes

FEATURES = 8


@pytest.fixture(scope="module")
def layers() -> Layers:
    random = np.random.default_rng(5)
    found = {name: random.normal(0, 0.02, shape).astype(np.float32) for name, shape in shapes(FEATURES).items()}
    return {**found, "judge.bias": np.array([1.5], np.float32)}


@pytest.fixture
def folder(layers: Layers, tmp_path: Path) -> Path:
    siamese.write(tmp_path / "net", layers, name="net", licence="MIT", trained_on={"people": 20})
    return tmp_path / "net"


def test_it_is_opened_as_it_was_written(folder: Path, layers: Layers) -> None:
    opened = Siamese.open(folder)

    assert (opened.name, opened.licence, opened.dimension) == ("net", "MIT", FEATURES)
    assert opened.trained_on == {"people": 20}
    assert all((opened.layers[name] == array).all() for name, array in layers.items())
    assert opened.head.bias == 1.5


def test_vectors_of_chips_are_numbers_between_0_and_1_and_the_same_alone_as_together(
    folder: Path, bundle: Bundle
) -> None:
    embedder = Siamese.open(folder).embedder()
    chips: list[Chip] = bundle.chips()[:3]
    crops = [embedder.crop(chip) for chip in chips]

    together = embedder.embed(crops)

    assert crops[0].shape == (CROP_PX, CROP_PX, 3)
    assert together.shape == (3, FEATURES)
    assert ((together > 0) & (together < 1)).all()
    np.testing.assert_allclose(together[1], embedder.embed(crops[1:2])[0], atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-4


def test_altered_weights_are_refused(folder: Path) -> None:
    content = bytearray((folder / siamese.WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / siamese.WEIGHTS).write_bytes(content)

    with pytest.raises(InvalidModel, match="is not the file that"):
        Siamese.open(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 2, "architecture": "koch-2015"}', "\ud800x"])
def test_what_is_no_description_is_refused(folder: Path, content: str) -> None:
    (folder / siamese.DESCRIPTION).write_bytes(content.encode("utf-8", "surrogatepass"))

    with pytest.raises(InvalidModel):
        Siamese.open(folder)


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / siamese.WEIGHTS).unlink()

    with pytest.raises(InvalidModel, match="missing"):
        Siamese.open(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"conv2.weight": np.zeros((128, 64, 7, 6), np.float32)}, "conv2.weight has the shape"),
        ({"dense.bias": np.full(FEATURES, np.nan, np.float32)}, "not finite"),
        ({"conv9.weight": np.zeros(3, np.float32)}, "have no place"),
        ({"conv1.bias": None}, "lack conv1.bias"),
    ],
)
def test_weights_of_another_kind_are_refused_by_name(
    layers: Layers, tmp_path: Path, change: dict[str, NDArray[Any] | None], told: str
) -> None:
    altered = {name: array for name, array in {**layers, **change}.items() if array is not None}

    with pytest.raises(InvalidModel, match=told):
        siamese.write(tmp_path / "net", altered, name="net", licence="", trained_on={})
    assert not (tmp_path / "net").exists()


def test_the_description_names_no_folder_of_this_machine(folder: Path) -> None:
    held = json.loads((folder / siamese.DESCRIPTION).read_text("utf-8"))

    assert set(held["crop"]) == {"kind", "window_px", "crop_px"}
    assert str(folder) not in json.dumps(held)
