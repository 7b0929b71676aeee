"""FaceNet (InceptionResnetV1) from its frozen TensorFlow graph into ONNX: the same numbers, free batches, raw pixels in.

Every operation is carried over one by one. Four are folded, exactly: the residual scales into the 1x1 convolutions before
them, the batch norm of the bottleneck into its product, the 3x3 average over a 3x3 map into a global one, and the
standardisation (x - 127.5) / 128 into the first convolution, so that uint8 pixels go in as they come.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from services.errors import InvalidModel
from workers.models import frozen_graph
from workers.models.frozen_graph import Node

ARCHITECTURE = "inception-resnet-v1"
INPUT, OUTPUT = "pixels", "embedding"
CROP_PX, DIMENSION = 160, 512
SUBTRACT, DIVIDE = 127.5, 128.0
OPSET, IR_VERSION = 17, 9
"""The oldest that have what is written here, so that any ONNX Runtime of these years reads it."""

_SCOPE = "InceptionResnetV1/"
_BOTTLENECK = f"{_SCOPE}Bottleneck/MatMul"
_NORMALISED = "embeddings"

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Network:
    """A network as ONNX nodes in topological order, and the weights they name."""

    nodes: Sequence[onnx.NodeProto]
    weights: Weights

    def graph(self, name: str = ARCHITECTURE) -> onnx.GraphProto:
        """The graph without its weights: (n, 160, 160, 3) uint8 RGB in, (n, 512) float32 of norm 1 out."""
        pixels = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["n", CROP_PX, CROP_PX, 3])
        vectors = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", DIMENSION])
        return helper.make_graph(self.nodes, name, [pixels], [vectors])


def model_of(graph: onnx.GraphProto) -> onnx.ModelProto:
    """A model that holds *graph*."""
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="colega")


def translate(nodes: Sequence[Node]) -> Network:
    """Translate the frozen graph of a FaceNet whose convolutions hold their batch norms already.

    Raises:
        InvalidModel: The graph is not such a FaceNet.
    """
    try:
        return _Translation(nodes).network()
    except (KeyError, ValueError, IndexError, StopIteration) as error:
        raise InvalidModel(f"The graph is not the FaceNet that is expected: {error!r}.") from error


class _Translation:
    """One pass over a frozen graph; ``weights`` and ``out`` fill as it goes."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.constants: Mapping[str, NDArray[Any]] = frozen_graph.constants(nodes)
        self.consumers: dict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            for name in node.inputs:
                self.consumers[name].append(node)
        self.weights: Weights = {}
        self.out: list[onnx.NodeProto] = [
            helper.make_node("Cast", [INPUT], ["float_pixels"], name="Cast", to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float_pixels"], ["input"], name="Transpose", perm=[0, 3, 1, 2]),
        ]

    def network(self) -> Network:
        write = {
            "Conv2D": self.convolution,
            "Relu": self.relu,
            "Add": self.add,
            "ConcatV2": self.concat,
            "MaxPool": self.max_pool,
            "AvgPool": self.average,
            "MatMul": self.bottleneck,
        }
        for node in self.nodes.values():
            if node.op in write:
                write[node.op](node)
        self.put("LpNormalization", ["bottleneck"], OUTPUT, name=_NORMALISED, axis=1, p=2)
        return Network(_in_order(self.out, {INPUT, *self.weights}), self.weights)

    def put(self, op: str, inputs: Sequence[str], output: str, *, name: str, **attributes: object) -> None:
        self.out.append(helper.make_node(op, inputs, [output], name=name, **attributes))  # type: ignore[arg-type]

    def convolution(self, node: Node) -> None:
        """Carry over a convolution with its bias and, where one follows, the residual scale."""
        kernel = self.constants[node.inputs[1]].astype(np.float64)  # height, width, in, out
        end = self.only_consumer(node.name, "BiasAdd")
        bias = self.constants[end.inputs[1]].astype(np.float64)
        after = self.consumers[end.name]
        if len(after) == 1 and after[0].op == "Mul":
            end = after[0]
            scale = float(next(self.constants[i] for i in end.inputs if i in self.constants))
            kernel, bias = kernel * scale, bias * scale
        if node.inputs[0] == "input":
            # Exact because this convolution is not padded: every kernel element meets a real pixel.
            bias, kernel = bias - kernel.sum((0, 1, 2)) * (SUBTRACT / DIVIDE), kernel / DIVIDE
        height, width = kernel.shape[:2]
        strides = _ints(node, "strides")[1:3]
        pads = self.pads(node, height, width, strides)
        name = _short(node.name).removesuffix("/Conv2D")
        self.weights[f"{name}/weights"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32)
        self.weights[f"{name}/biases"] = bias.astype(np.float32)
        inputs = [_short(node.inputs[0]), f"{name}/weights", f"{name}/biases"]
        self.put("Conv", inputs, _short(end.name), name=name, kernel_shape=[height, width], strides=strides, pads=pads)

    @staticmethod
    def pads(node: Node, height: int, width: int, strides: Sequence[int]) -> list[int]:
        if node.attributes["padding"] == b"VALID":
            return [0, 0, 0, 0]
        if tuple(strides) != (1, 1) or not (height % 2 and width % 2):
            raise ValueError(f"{node.name} has a padding that is not symmetric")
        return [height // 2, width // 2] * 2

    def relu(self, node: Node) -> None:
        self.put("Relu", [_short(node.inputs[0])], _short(node.name), name=_short(node.name))

    def add(self, node: Node) -> None:
        self.put("Add", [_short(name) for name in node.inputs], _short(node.name), name=_short(node.name))

    def concat(self, node: Node) -> None:
        """The last input is the axis: channels, which are last there and second here."""
        inputs = [_short(name) for name in node.inputs[:-1]]
        self.put("Concat", inputs, _short(node.name), name=_short(node.name), axis=1)

    def max_pool(self, node: Node) -> None:
        if node.attributes["padding"] != b"VALID":
            raise ValueError(f"{node.name} is padded")
        shape, strides = _ints(node, "ksize")[1:3], _ints(node, "strides")[1:3]
        inputs, output = [_short(node.inputs[0])], _short(node.name)
        self.put("MaxPool", inputs, output, name=output, kernel_shape=shape, strides=strides)

    def average(self, node: Node) -> None:
        """The 3x3 average is taken over the 3x3 map that 160x160 pixels come to, so it is the mean of all."""
        self.put("GlobalAveragePool", [_short(node.inputs[0])], "average", name="AveragePool")
        self.put("Flatten", ["average"], "features", name="Flatten", axis=1)

    def bottleneck(self, node: Node) -> None:
        """The last product, with the batch norm behind it folded in."""
        if node.name != _BOTTLENECK:
            raise ValueError(f"{node.name} is not expected")
        norm = self.nodes[f"{_SCOPE}Bottleneck/BatchNorm/cond/FusedBatchNorm_1"]
        gamma, beta, mean, variance = (self.constants[name].astype(np.float64) for name in norm.inputs[1:])
        scale = gamma / np.sqrt(variance + cast("float", norm.attributes["epsilon"]))
        kernel = self.constants[node.inputs[1]].astype(np.float64) * scale
        self.weights["Bottleneck/weights"] = np.ascontiguousarray(kernel.T, np.float32)
        self.weights["Bottleneck/biases"] = (beta - mean * scale).astype(np.float32)
        inputs = ["features", "Bottleneck/weights", "Bottleneck/biases"]
        self.put("Gemm", inputs, "bottleneck", name="Bottleneck", transB=1)

    def only_consumer(self, name: str, op: str) -> Node:
        (node,) = self.consumers[name]
        if node.op != op:
            raise ValueError(f"{op} is expected after {name}, not {node.op}")
        return node


def _ints(node: Node, key: str) -> tuple[int, ...]:
    return cast("tuple[int, ...]", node.attributes[key])


def _short(name: str) -> str:
    return name.removeprefix(_SCOPE)


def _in_order(nodes: Sequence[onnx.NodeProto], known: set[str]) -> list[onnx.NodeProto]:
    """Sort *nodes* so that each follows those whose outputs it takes; the frozen file's order does not."""
    ready, ordered, waiting = set(known), [], list(nodes)
    while waiting:
        now = [node for node in waiting if ready.issuperset(node.input)]
        if not now:
            raise ValueError(f"{waiting[0].name} takes what no node gives")
        ordered += now
        ready.update(output for node in now for output in node.output)
        waiting = [node for node in waiting if not ready.issuperset(node.output)]
    return ordered
