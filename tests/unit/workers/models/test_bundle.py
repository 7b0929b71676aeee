"""A model as data: what it is, that it is whole, and which variant runs here."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from services.errors import InvalidModel
from workers.models import bundle as bundles
from workers.models.bundle import Bundle, Thresholds


def test_the_default_bundle_says_what_it_is(bundle: Bundle) -> None:
    """Name, dimension and a digest that is the same on every machine."""
    assert (bundle.name, bundle.dimension, len(bundle.digest)) == ("casia-webface", 512, 64)
    assert Bundle.open(bundle.directory).digest == bundle.digest


@pytest.mark.parametrize("name", [bundles.WEIGHTS, bundles.FP32, bundles.INT8, bundles.VECTORS, "reference/00.jpg"])
def test_an_altered_file_is_refused(copied: Path, name: str) -> None:
    """One flipped byte anywhere."""
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    _replace(copied / name, content)

    with pytest.raises(InvalidModel, match=name):
        Bundle.open(copied)


def test_a_missing_file_is_refused(copied: Path) -> None:
    """A bundle is whole or it is none."""
    (copied / bundles.INT8).unlink()

    with pytest.raises(InvalidModel, match="int8"):
        Bundle.open(copied)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}'])
def test_a_description_of_another_kind_is_refused(copied: Path, text: str) -> None:
    """Of an older or later version, or of something else."""
    _replace(copied / bundles.DESCRIPTION, text.encode())

    with pytest.raises(InvalidModel):
        Bundle.open(copied)


def test_another_crop_is_another_model(copied: Path) -> None:
    """Its vectors cannot be compared, so a description that keeps the digest is refused."""
    described = json.loads((copied / bundles.DESCRIPTION).read_text())
    described["crop"]["crop_px"] = 128
    _replace(copied / bundles.DESCRIPTION, json.dumps(described).encode())

    with pytest.raises(InvalidModel, match="digest"):
        Bundle.open(copied)


def test_int8_is_taken_where_it_agrees_with_the_reference(bundle: Bundle) -> None:
    """Every processor has one of the two int8 files that do."""
    embedder = bundle.embedder()

    assert embedder.variant == "int8"
    assert embedder.agreement >= 0.998


def test_fp32_is_taken_where_int8_does_not_agree(copied: Path) -> None:
    """Files whose scales are off stand for a processor on which 8-bit sums overflow."""
    for name in (bundles.INT8, bundles.INT8_NARROW):
        _damage_scales(copied, name)

    embedder = Bundle.open(copied).embedder()

    assert embedder.variant == "fp32"
    assert embedder.agreement >= 0.9999


def test_narrow_int8_is_taken_where_only_the_wide_one_disagrees(copied: Path) -> None:
    """As seen on processors without VNNI."""
    _damage_scales(copied, bundles.INT8)

    assert Bundle.open(copied).embedder().variant == "int8"


def test_a_variant_that_was_asked_for_is_not_replaced(copied: Path) -> None:
    """Whoever sets int8 is told that it does not work here."""
    for name in (bundles.INT8, bundles.INT8_NARROW):
        _damage_scales(copied, name)

    with pytest.raises(InvalidModel, match="int8"):
        Bundle.open(copied).embedder("int8")


def test_the_threshold_grows_with_the_gallery() -> None:
    """More people, more chances to resemble one of them."""
    rows = [(10, 0.43, 0.0), (100, 0.54, 0.05), (420, 0.60, 0.08)]
    thresholds = Thresholds({"0.05": rows, "0.01": [(n, t + 0.06, f) for n, t, f in rows]}, {}, "here")

    asked = [thresholds.for_gallery(n) for n in (0, 1, 10, 30, 100, 420, 5000)]

    assert asked == sorted(asked)
    assert thresholds.for_gallery(100) == pytest.approx(0.54)
    assert thresholds.for_gallery(100, fpir=0.03) == pytest.approx(0.60), "the stricter rate of the table"


def _replace(path: Path, content: bytes | bytearray) -> None:
    path.unlink()
    path.write_bytes(content)


def _damage_scales(directory: Path, name: str) -> None:
    """Double every tenth weight scale, and let the description agree with the file."""
    model = onnx.load(directory / name)
    scales = [item for item in model.graph.initializer if item.name.endswith("weights_scale")]
    for item in scales[::10]:
        item.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(item), item.name))
    _replace(directory / name, model.SerializeToString())
    described = json.loads((directory / bundles.DESCRIPTION).read_text())
    described["files"][name] = bundles._sha256(directory / name)
    _replace(directory / bundles.DESCRIPTION, json.dumps(described).encode())


def test_vectors_are_the_same_alone_and_in_a_batch(bundle: Bundle) -> None:
    """A face embedded again, in other company, gives the same vector up to rounding."""
    crops, _ = bundle.reference()
    embedder = bundle.embedder("int8")

    together, alone = embedder.embed(crops), np.concatenate([embedder.embed(crop[None]) for crop in crops])

    assert (together * alone).sum(1).min() > 0.9999
