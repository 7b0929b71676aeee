"""Embedders that somebody brings as ONNX: what is refused before anything runs, and what runs as it was meant."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from services.errors import InvalidModel
from tests import nets
from workers.models import describing, foreign_bundle, foreign_onnx, variants
from workers.models.bundle import Bundle


def written(tmp_path: Path, model: onnx.ModelProto, text: str) -> Bundle:
    """The bundle of *model*."""
    return foreign_bundle.write(
        tmp_path / "bundle",
        model.SerializeToString(),
        describing.parse(text),
        name="mine",
        licence="Apache-2.0",
        provenance={"source": "here"},
    )


@pytest.mark.parametrize(
    ("dimension", "batch", "layout", "channels"),
    [(128, "n", "NCHW", "BGR"), (512, 1, "NCHW", "RGB"), (128, "n", "NHWC", "BGR"), (64, 1, "NHWC", "RGB")],
)
def test_it_says_what_the_original_says_of_the_same_crops(
    tmp_path: Path, dimension: int, batch: int | str, layout: str, channels: str
) -> None:
    """Colour order, mean, standard deviation, layout and norm are all in the graph."""
    model = nets.embedder(dimension, batch=batch, layout=layout)

    opened = written(tmp_path, model, nets.described(dimension, layout, channels))

    crops, _ = opened.reference()
    pixels = (crops[..., ::-1] if channels == "BGR" else crops).astype(np.float32)
    taken = (pixels - 127.5) / 127.5
    taken = taken.transpose(0, 3, 1, 2) if layout == "NCHW" else taken
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    original = np.concatenate([session.run(None, {"data": one[None]})[0] for one in taken])
    original /= np.linalg.norm(original, axis=1, keepdims=True)
    found = opened.embedder("fp32")
    assert (found.embed(crops) * original).sum(1).min() > 0.99999
    assert (opened.dimension, opened.crop_px) == (dimension, 112)
    assert opened.embedder().variant == "int8"
    assert opened.variants["int8"]["loss"]["least"] >= 0.998


def test_the_same_model_has_the_same_digest_and_another_crop_another(tmp_path: Path) -> None:
    model, text = nets.embedder(), nets.described()
    window = text.replace("{kind: five-point, template: arcface-112}", "{kind: stretched-box}")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()

    one, again = written(tmp_path / "a", model, text), written(tmp_path / "b", model, text)

    assert one.digest == again.digest
    assert written(tmp_path / "c", model, window).digest != one.digest


def test_one_that_only_says_that_it_takes_any_number_is_given_one_at_a_time(tmp_path: Path) -> None:
    """As exports with a fixed reshape inside are."""
    model = nets.embedder()
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    flatten.op_type = "Reshape"
    flatten.input.append("one_row")
    model.graph.initializer.append(helper.make_tensor("one_row", TensorProto.INT64, [2], [1, 64 * 49]))

    opened = written(tmp_path, model, nets.described())

    assert opened.embedder("fp32").embed(opened.reference()[0]).shape == (9, 128)


def test_a_model_that_eight_bits_harm_stays_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its bundle says how much it would have lost. Here nothing less than sameness would do."""
    monkeypatch.setattr(variants, "LEAST_ON_REFERENCE", 1.0)

    opened = written(tmp_path, nets.embedder(), nets.described())

    assert opened.variants["int8"]["files"] == []
    assert opened.variants["int8"]["loss"]["least"] < 1.0
    assert "1.0 is needed" in opened.variants["int8"]["why"]
    assert opened.embedder().variant == "fp32"
    with pytest.raises(InvalidModel, match=r"no int8 variant.*is needed"):
        opened.embedder("int8")


def _another_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _outside(model: onnx.ModelProto) -> None:
    item = model.graph.initializer[0]
    item.ClearField("raw_data")
    item.data_location = TensorProto.EXTERNAL
    item.external_data.add(key="location", value="/etc/passwd")


def _loop(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["x"], body=model.graph))


def _eight_at_a_time(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8


def _text_in(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("r0", TensorProto.FLOAT, ["n", 16, 56, 56]))


def _nan(model: onnx.ModelProto) -> None:
    item = next(item for item in model.graph.initializer if item.name == "w")
    array = onnx.numpy_helper.to_array(item).copy()
    array[3, 3] = np.nan
    item.CopyFrom(onnx.numpy_helper.from_array(array, "w"))


def _constant(model: onnx.ModelProto) -> None:
    for item in model.graph.initializer:
        if item.name in {"w", "b"}:
            array = np.zeros_like(onnx.numpy_helper.to_array(item)) + (item.name == "b")
            item.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), item.name))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_another_domain, "com.example"),
        (_outside, "another file"),
        (_loop, "Loop"),
        (_eight_at_a_time, "8 faces at a time"),
        (_text_in, "STRING"),
        (_two_outputs, "output.name"),
        (_nan, "not finite"),
        (_constant, "same of different faces"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_with_the_reason(
    tmp_path: Path, damage: Callable[[onnx.ModelProto], None], told: str
) -> None:
    model = nets.embedder()
    damage(model)

    with pytest.raises(InvalidModel, match=told):
        written(tmp_path, model, nets.described())

    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (nets.described(256), "gives .*128.* description says 256"),
        (nets.described(layout="NHWC"), r"shape \(n, 3, 112, 112\)"),
        (
            nets.described()
            .replace("size: 112", "size: 96")
            .replace("arcface-112", "[[30, 40], [66, 40], [48, 60], [34, 76], [62, 76]]"),
            "shape",
        ),
        (nets.described().replace("input: {", "input: {name: image, "), "no input image"),
        (nets.described() + "output: {normalised: true}\n", "norm 1"),
    ],
)
def test_a_description_that_does_not_fit_the_model_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidModel, match=told):
        written(tmp_path, nets.embedder(), text)


@pytest.mark.parametrize("content", [b"", b"this is a text file\n" * 20, b"\x00" * 100])
def test_what_is_no_onnx_model_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidModel, match=r"no ONNX model|no valid ONNX"):
        foreign_onnx.parsed(content)
