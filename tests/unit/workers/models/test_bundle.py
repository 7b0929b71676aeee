"""A model as data: what it is, that it is whole, and which variant runs here."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from services.errors import InvalidModel
from workers.models import assembly, description, safetensors
from workers.models import bundle as bundles
from workers.models.bundle import Bundle
from workers.models.description import Thresholds


def test_the_default_bundle_says_what_it_is(bundle: Bundle) -> None:
    """Name, dimension and a digest that is the same on every machine."""
    assert (bundle.name, bundle.dimension, len(bundle.digest)) == ("casia-webface", 512, 64)
    assert Bundle.open(bundle.directory).digest == bundle.digest


@pytest.mark.parametrize(
    "name", [description.WEIGHTS, description.FP32, description.INT8, description.VECTORS, "reference/00.jpg"]
)
def test_an_altered_file_is_refused(copied: Path, name: str) -> None:
    """One flipped byte anywhere."""
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    _replace(copied / name, content)

    with pytest.raises(InvalidModel, match=name):
        Bundle.open(copied)


def test_a_missing_file_is_refused(copied: Path) -> None:
    """A bundle is whole or it is none."""
    (copied / description.INT8).unlink()

    with pytest.raises(InvalidModel, match="int8"):
        Bundle.open(copied)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 2}'])
def test_a_description_of_another_kind_is_refused(copied: Path, text: str) -> None:
    """Of an older or later version, or of something else."""
    _replace(copied / description.FILE, text.encode())

    with pytest.raises(InvalidModel):
        Bundle.open(copied)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("dimension", 128, "vectors of"),
        ("dimension", "512", "dimension"),
        ("dimension", True, "dimension"),
        ("name", "../x", "no name of a model"),
        ("licence", "", "licence"),
        ("head", {"kind": "absolute-difference", "weights": "AAAA", "bias": 0}, "head"),
        ("thresholds", {"fpir": {"0.05": [[1, 2]]}, "fmr": {}, "source": ""}, "thresholds"),
        ("surplus", 1, "surplus"),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_refused(copied: Path, field: str, value: object, told: str) -> None:
    """By its name; another dimension shows when the reference is looked at."""
    described = json.loads((copied / description.FILE).read_text())
    _replace(copied / description.FILE, json.dumps(described | {field: value}).encode())

    with pytest.raises(InvalidModel, match=told):
        Bundle.open(copied).reference()


@pytest.mark.parametrize("name", ["/etc/passwd", "../weights.safetensors", "reference/../../x.jpg", "extra.bin"])
def test_a_file_that_is_none_of_a_bundle_is_refused(copied: Path, name: str) -> None:
    """A description is not believed where it leads out of its folder."""
    described = json.loads((copied / description.FILE).read_text())
    described["files"][name] = "0" * 64
    _replace(copied / description.FILE, json.dumps(described).encode())

    with pytest.raises(InvalidModel, match="no file of a bundle"):
        Bundle.open(copied)


def test_a_link_in_place_of_a_file_is_refused(copied: Path) -> None:
    """Even one to the same bytes: what it leads to may change."""
    elsewhere = copied.parent / "elsewhere"
    (copied / description.WEIGHTS).rename(elsewhere)
    (copied / description.WEIGHTS).symlink_to(elsewhere)

    with pytest.raises(InvalidModel, match="link"):
        Bundle.open(copied)


def test_thresholds_head_and_variants_do_not_change_the_digest(copied: Path, bundle: Bundle) -> None:
    """They say how the model is used and computed, not what it says."""
    opened = Bundle.open(copied)
    head = {"kind": "absolute-difference", "weights": "AAAA" * 682 + "AAA=", "bias": 0.5}

    changed = assembly.redescribe(opened, {"head": head, "thresholds": description.NO_THRESHOLDS, "variants": {}})

    assert changed.digest == bundle.digest
    assert changed.head == head
    assert Bundle.open(copied).description["thresholds"] == description.NO_THRESHOLDS


def test_weights_are_read_as_they_were_written(bundle: Bundle) -> None:
    """By name and bit by bit."""
    weights = bundle.weights()

    assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in weights.values())
    assert safetensors.write(weights)[0] == (bundle.directory / description.WEIGHTS).read_bytes()


def test_another_crop_is_another_model(copied: Path) -> None:
    """Its vectors cannot be compared, so a description that keeps the digest is refused."""
    described = json.loads((copied / description.FILE).read_text())
    described["crop"]["crop_px"] = 128
    _replace(copied / description.FILE, json.dumps(described).encode())

    with pytest.raises(InvalidModel, match="digest"):
        Bundle.open(copied)


def test_int8_is_taken_where_it_agrees_with_the_reference(bundle: Bundle) -> None:
    """Every processor has one of the two int8 files that do."""
    embedder = bundle.embedder()

    assert embedder.variant == "int8"
    assert embedder.agreement >= 0.998


@pytest.mark.slow
def test_fp32_is_taken_where_int8_does_not_agree(copied: Path) -> None:
    """Files whose scales are off stand for a processor on which 8-bit sums overflow."""
    for name in (description.INT8, description.INT8_NARROW):
        _damage_scales(copied, name)

    embedder = Bundle.open(copied).embedder()

    assert embedder.variant == "fp32"
    assert embedder.agreement >= 0.9999


def test_narrow_int8_is_taken_where_only_the_wide_one_disagrees(copied: Path) -> None:
    """As seen on processors without VNNI."""
    _damage_scales(copied, description.INT8)

    assert Bundle.open(copied).embedder().variant == "int8"


def test_a_variant_that_was_asked_for_is_not_replaced(copied: Path) -> None:
    """Whoever sets int8 is told that it does not work here."""
    for name in (description.INT8, description.INT8_NARROW):
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
    described = json.loads((directory / description.FILE).read_text())
    described["files"][name] = bundles._sha256(directory / name)
    _replace(directory / description.FILE, json.dumps(described).encode())


def test_vectors_are_the_same_alone_and_in_a_batch(bundle: Bundle) -> None:
    """A face embedded again, in other company, gives the same vector up to rounding."""
    crops, _ = bundle.reference()
    embedder = bundle.embedder("int8")

    together, alone = embedder.embed(crops), np.concatenate([embedder.embed(crop[None]) for crop in crops])

    assert (together * alone).sum(1).min() > 0.9999
