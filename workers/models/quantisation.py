"""Static int8: a network and a table of activation ranges become a model of 8-bit products.

Activations are unsigned with one scale a tensor, weights signed with one scale an output channel; written as pairs of
QuantizeLinear and DequantizeLinear, which ONNX Runtime fuses with what stands between them. For the default model no photo is
needed: its ranges were measured once (``benchmarks/int8_ranges.py``) and are shipped. Those of other models are measured on
chips (:mod:`workers.models.ranges`), and with them the mean of every channel: rounded weights shift what a product gives by
their error times its mean input, which is taken off the bias (Nagel et al. 2019, "Data-Free Quantization", section 4.2).
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from services.errors import InvalidModel
from workers.models.facenet_graph import INPUT, Network, model_of

WIDE, NARROW = 127, 63
"""Greatest weight. Two products of 255 and 63 fit into the 16 bits in which processors without VNNI add them; two of 255
and 127 do not, and are silently cut off there."""

_LEAST_SCALE = 1e-12
"""Of a tensor that is always zero; whatever it is divided by."""

_FLOAT_OUTPUT = frozenset({"LpNormalization"})
"""Operations that take what the last product gives as it is, in float32."""


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the greatest value that a tensor was seen to take."""

    low: float
    high: float

    def quantised(self) -> tuple[np.float32, np.uint8]:
        """Scale and zero point with which 0..255 cover the range, zero exactly."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = max((high - low) / 255, _LEAST_SCALE)
        return np.float32(scale), np.uint8(round(-low / scale))


Ranges = Mapping[str, Range]

Means = Mapping[str, NDArray[np.float32]]
"""The mean value of each channel of a tensor, (channels,), by the tensor's name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The tensors of one network, as they were on faces."""

    ranges: Ranges
    means: Means
    source: str
    """Whose faces, as a reader should be told."""


def shipped() -> Measured:
    """What the default model's int8 is made with: its table of ranges. Its biases stay as they are."""
    held = json.loads(resources.files("workers.models").joinpath("facenet_ranges.json").read_text("utf-8"))
    return Measured({name: Range(low, high) for name, (low, high) in held["ranges"].items()}, {}, held["source"])


def measured_tensors(network: Network) -> list[str]:
    """The tensors whose ranges :func:`quantise` needs, in the order of the network."""
    names: list[str] = []
    for node in _body(network):
        if node.op_type not in {"Relu", *_FLOAT_OUTPUT}:
            names += [name for name in node.input if name not in network.weights and name != "input"]
    return list(dict.fromkeys(names))


def quantise(network: Network, ranges: Ranges, greatest: int = WIDE, *, means: Means | None = None) -> onnx.ModelProto:
    """An int8 model of *network*: the same input and output, the same dimension, a quarter of the bytes.

    Args:
        network: In float32.
        ranges: Of every tensor that :func:`measured_tensors` names.
        greatest: The weights become -greatest..greatest: ``WIDE``, or ``NARROW`` for processors without VNNI.
        means: Of the tensors that products take; those that are named have their bias corrected.

    Raises:
        InvalidModel: *ranges* lacks a tensor of the network.
    """
    missing = [name for name in measured_tensors(network) if name not in ranges]
    if missing:
        raise InvalidModel(f"The table of ranges lacks {len(missing)} tensors, {missing[0]} among them.")
    return _Writer(network, ranges, greatest, means or {}).model()


def with_onnxruntime(
    model: onnx.ModelProto, path: Path, batches: Iterator[Mapping[str, NDArray[np.uint8]]], *, narrow: bool
) -> None:
    """Write an int8 model of any network to *path*, by ONNX Runtime's own tool: products only, a scale an output channel.

    Args:
        model: In float32, its weights inside.
        path: Written anew.
        batches: Inputs whose activations give the ranges.
        narrow: Weights of 7 bits, for processors without VNNI.
    """
    from onnxruntime import quantization  # noqa: PLC0415 - heavy, and only needed here

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Mapping[str, NDArray[np.uint8]] | None:
            return next(batches, None)

    with _quiet(), tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source = Path(folder) / "fp32.onnx"
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            path,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            per_channel=True,
            reduce_range=narrow,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """The tool warns on the root logger that the model could be optimised first; that is so, and of no use here."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _body(network: Network) -> Sequence[onnx.NodeProto]:
    """What follows the two nodes that make floats of pixels."""
    return network.nodes[2:]


class _Writer:
    """Writes the quantised graph node by node; ``stands_for`` maps a tensor to its dequantised twin."""

    def __init__(self, network: Network, ranges: Ranges, greatest: int, means: Means) -> None:
        self.network, self.ranges, self.greatest, self.means = network, ranges, greatest, means
        self.out: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.stands_for: dict[str, str] = {}
        self.scales: dict[str, np.float32] = {}
        self.source: dict[str, str] = {}

    def model(self) -> onnx.ModelProto:
        # Pixels are 0..255 already: with scale 1 and zero point 0 they are the quantised input, bit for bit.
        self.out.append(helper.make_node("Transpose", [INPUT], ["input_q"], name="Transpose", perm=[0, 3, 1, 2]))
        self.dequantise("input", "input_q", np.float32(1), np.uint8(0))
        for node in _body(self.network):
            if node.op_type in {"Conv", "Gemm"}:
                self.product(node)
            elif node.op_type == "Relu":
                # A range that begins at zero clamps what is below: the rectifier is in the rounding.
                self.source[node.output[0]] = node.input[0]
            elif node.op_type in _FLOAT_OUTPUT:
                self.copy(node, list(node.input))
            else:
                self.copy(node, [self.quantised(name) for name in node.input])
        graph = self.network.graph("inception-resnet-v1-int8")
        del graph.node[:]
        graph.node.extend(self.out)
        graph.initializer.extend(self.initializers)
        return model_of(graph)

    def copy(self, node: onnx.NodeProto, inputs: Sequence[str]) -> None:
        copied = onnx.NodeProto()
        copied.CopyFrom(node)
        copied.input[:] = inputs
        self.out.append(copied)

    def product(self, node: onnx.NodeProto) -> None:
        """A convolution or a matrix product: weights to int8 a channel, biases to int32 in the product's own scale."""
        x = self.quantised(node.input[0])
        weights, biases = self.network.weights[node.input[1]], self.network.weights[node.input[2]]
        per_channel = weights.reshape(len(weights), -1)
        scales = np.maximum(np.abs(per_channel).max(1), 1e-8).astype(np.float32) / self.greatest
        rounded = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
        if (mean := self.means.get(node.input[0])) is not None:
            error = rounded * scales.reshape(-1, *[1] * (weights.ndim - 1)) - weights
            biases = biases - error.reshape(*error.shape[:2], -1).sum(2) @ mean
        bias_scales = scales * self.scales[node.input[0]]
        whole = np.clip(np.rint(biases / bias_scales.astype(np.float64)), -(2**31), 2**31 - 1).astype(np.int32)
        inputs = [x, self.constant(node.input[1], rounded, scales), self.constant(node.input[2], whole, bias_scales)]
        self.copy(node, inputs)

    def constant(self, name: str, values: NDArray[Any], scales: NDArray[np.float32]) -> str:
        zeros = np.zeros(len(scales), values.dtype)
        self.initialise({name: values, f"{name}_scale": scales, f"{name}_zero": zeros})
        inputs, output = [name, f"{name}_scale", f"{name}_zero"], f"{name}_dq"
        self.out.append(helper.make_node("DequantizeLinear", inputs, [output], name=output, axis=0))
        return output

    def quantised(self, name: str) -> str:
        """The name of *name* after it went through 8 bits; the pair is written when it is first asked for."""
        if name not in self.stands_for:
            scale, zero = self.ranges[name].quantised()
            source = self.source.get(name, name)
            if source != name and zero != 0:
                raise InvalidModel(f"The range of {name} begins below zero, which a rectifier does not give.")
            inputs = [source, f"{name}_scale", f"{name}_zero"]
            self.out.append(helper.make_node("QuantizeLinear", inputs, [f"{name}_q"], name=f"{name}_q"))
            self.dequantise(name, f"{name}_q", scale, zero)
        return self.stands_for[name]

    def dequantise(self, name: str, source: str, scale: np.float32, zero: np.uint8) -> None:
        self.initialise({f"{name}_scale": np.asarray(scale), f"{name}_zero": np.asarray(zero)})
        inputs, output = [source, f"{name}_scale", f"{name}_zero"], f"{name}_dq"
        self.out.append(helper.make_node("DequantizeLinear", inputs, [output], name=output))
        self.stands_for[name], self.scales[name] = output, scale

    def initialise(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.initializers += [numpy_helper.from_array(array, name) for name, array in arrays.items()]
