"""FaceNet (InceptionResnetV1) layer by layer: what it is made of, as ONNX nodes and under the names of two libraries.

A layer is called here as davidsandberg/facenet's TensorFlow graph calls it, which is what the frozen graph, the bundles and
the tables of ranges say; facenet-pytorch's state dict calls it otherwise. Shapes, strides and residual scales are those of
``facenet_pytorch/models/inception_resnet_v1.py`` and ``facenet/src/models/inception_resnet_v1.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import onnx
from onnx import TensorProto, helper

FIRST, BOTTLENECK = "Conv2d_1a_3x3", "Bottleneck"
FEATURES, DIMENSION = 1792, 512
INPUT, OUTPUT = "pixels", "embedding"


@dataclass(frozen=True, slots=True)
class Layer:
    """One product with its weights: a convolution, or the last matrix."""

    name: str
    """Its weights are ``<name>/weights`` and ``<name>/biases``."""
    state: str
    """What facenet-pytorch's state dict calls it, without ``.weight``."""
    norm: str | None
    """The batch norm behind it there; None where it has a bias of its own."""
    shape: tuple[int, ...]
    """Of the kernel: out, in, height, width; of the last matrix out, in."""
    scale: float
    """What facenet-pytorch multiplies its output by, outside the layer; 1 where nothing is."""


def layers() -> Mapping[str, Layer]:
    """Every layer by its name, in the order of the network."""
    return {layer.name: layer for layer in _walked().layers}


def nodes() -> Sequence[onnx.NodeProto]:
    """The network over uint8 pixels, standardisation and batch norms folded, in topological order."""
    return _walked().nodes


@dataclass(slots=True)
class _Walk:
    """One pass from the pixels to the embedding; ``at`` is the tensor that it has come to, with its channels."""

    layers: list[Layer] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    channels: dict[str, int] = field(default_factory=dict)

    def put(self, op: str, inputs: Sequence[str], output: str, name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))  # type: ignore[arg-type]
        return output

    def convolution(
        self, source: str, name: str, state: str, out: int, *, stride: int = 1, padded: bool = False
    ) -> str:
        """A convolution with a batch norm and a rectifier; its kernel's size is the end of its name."""
        height, width = (int(side) for side in name.rsplit("_", 1)[1].split("x"))
        shape = (out, self.channels[source], height, width)
        self.layers.append(Layer(name, f"{state}.conv", f"{state}.bn", shape, 1.0))
        linear = self._conv(source, name, shape, f"{name}/BatchNorm/cond/FusedBatchNorm_1", stride, padded)
        return self._given(self.put("Relu", [linear], f"{name}/Relu", f"{name}/Relu"), out)

    def pool(self, source: str, name: str) -> str:
        pooled = self.put(
            "MaxPool", [source], f"{name}/MaxPool", f"{name}/MaxPool", kernel_shape=[3, 3], strides=[2, 2]
        )
        return self._given(pooled, self.channels[source])

    def concat(self, sources: Sequence[str], name: str) -> str:
        joined = self.put("Concat", sources, f"{name}/concat", f"{name}/concat", axis=1)
        return self._given(joined, sum(self.channels[source] for source in sources))

    def residual(self, source: str, name: str, state: str, branches: Sequence[str], scale: float) -> str:
        """*branches* side by side through a 1x1 convolution, added to what they began from."""
        joined, out = self.concat(branches, name), self.channels[source]
        shape = (out, self.channels[joined], 1, 1)
        self.layers.append(Layer(f"{name}/Conv2d_1x1", f"{state}.conv2d", None, shape, scale))
        scaled = self._conv(joined, f"{name}/Conv2d_1x1", shape, f"{name}/mul", 1, padded=False)
        return self._given(self.put("Add", [source, scaled], f"{name}/add", f"{name}/add"), out)

    def rectified(self, source: str, name: str) -> str:
        return self._given(self.put("Relu", [source], f"{name}/Relu", f"{name}/Relu"), self.channels[source])

    def _conv(self, source: str, name: str, shape: tuple[int, ...], output: str, stride: int, padded: bool) -> str:
        kernel = list(shape[2:])
        pads = [side // 2 for side in kernel] * 2 if padded else [0, 0, 0, 0]
        inputs = [source, f"{name}/weights", f"{name}/biases"]
        return self.put("Conv", inputs, output, name, kernel_shape=kernel, strides=[stride, stride], pads=pads)

    def _given(self, tensor: str, channels: int) -> str:
        self.channels[tensor] = channels
        return tensor


@cache
def _walked() -> _Walk:
    walk = _Walk()
    walk.put("Cast", [INPUT], "float_pixels", "Cast", to=TensorProto.FLOAT)
    walk.channels[walk.put("Transpose", ["float_pixels"], "input", "Transpose", perm=[0, 3, 1, 2])] = 3
    at = _stem(walk)
    for i in range(5):
        at = _block35(walk, at, f"Repeat/block35_{i + 1}", f"repeat_1.{i}")
    at = _mixed_6a(walk, at)
    for i in range(10):
        at = _block17(walk, at, f"Repeat_1/block17_{i + 1}", f"repeat_2.{i}")
    at = _mixed_7a(walk, at)
    for i in range(5):
        name = f"Repeat_2/block8_{i + 1}"
        at = walk.rectified(_block8(walk, at, name, f"repeat_3.{i}", 0.20), name)
    at = _block8(walk, at, "Block8", "block8", 1.0)
    walk.put("GlobalAveragePool", [at], "average", "AveragePool")
    walk.put("Flatten", ["average"], "features", "Flatten", axis=1)
    inputs = ["features", f"{BOTTLENECK}/weights", f"{BOTTLENECK}/biases"]
    walk.put("Gemm", inputs, "bottleneck", BOTTLENECK, transB=1)
    walk.layers.append(Layer(BOTTLENECK, "last_linear", "last_bn", (DIMENSION, FEATURES), 1.0))
    walk.put("LpNormalization", ["bottleneck"], OUTPUT, "embeddings", axis=1, p=2)
    return walk


def _stem(walk: _Walk) -> str:
    at = walk.convolution("input", FIRST, "conv2d_1a", 32, stride=2)
    at = walk.convolution(at, "Conv2d_2a_3x3", "conv2d_2a", 32)
    at = walk.convolution(at, "Conv2d_2b_3x3", "conv2d_2b", 64, padded=True)
    at = walk.pool(at, "MaxPool_3a_3x3")
    at = walk.convolution(at, "Conv2d_3b_1x1", "conv2d_3b", 80)
    at = walk.convolution(at, "Conv2d_4a_3x3", "conv2d_4a", 192)
    return walk.convolution(at, "Conv2d_4b_3x3", "conv2d_4b", 256, stride=2)


def _block35(walk: _Walk, at: str, name: str, state: str) -> str:
    a = walk.convolution(at, f"{name}/Branch_0/Conv2d_1x1", f"{state}.branch0", 32)
    b = walk.convolution(at, f"{name}/Branch_1/Conv2d_0a_1x1", f"{state}.branch1.0", 32)
    b = walk.convolution(b, f"{name}/Branch_1/Conv2d_0b_3x3", f"{state}.branch1.1", 32, padded=True)
    c = walk.convolution(at, f"{name}/Branch_2/Conv2d_0a_1x1", f"{state}.branch2.0", 32)
    c = walk.convolution(c, f"{name}/Branch_2/Conv2d_0b_3x3", f"{state}.branch2.1", 32, padded=True)
    c = walk.convolution(c, f"{name}/Branch_2/Conv2d_0c_3x3", f"{state}.branch2.2", 32, padded=True)
    return walk.rectified(walk.residual(at, name, state, [a, b, c], 0.17), name)


def _mixed_6a(walk: _Walk, at: str) -> str:
    a = walk.convolution(at, "Mixed_6a/Branch_0/Conv2d_1a_3x3", "mixed_6a.branch0", 384, stride=2)
    b = walk.convolution(at, "Mixed_6a/Branch_1/Conv2d_0a_1x1", "mixed_6a.branch1.0", 192)
    b = walk.convolution(b, "Mixed_6a/Branch_1/Conv2d_0b_3x3", "mixed_6a.branch1.1", 192, padded=True)
    b = walk.convolution(b, "Mixed_6a/Branch_1/Conv2d_1a_3x3", "mixed_6a.branch1.2", 256, stride=2)
    return walk.concat([a, b, walk.pool(at, "Mixed_6a/Branch_2/MaxPool_1a_3x3")], "Mixed_6a")


def _block17(walk: _Walk, at: str, name: str, state: str) -> str:
    a = walk.convolution(at, f"{name}/Branch_0/Conv2d_1x1", f"{state}.branch0", 128)
    b = walk.convolution(at, f"{name}/Branch_1/Conv2d_0a_1x1", f"{state}.branch1.0", 128)
    b = walk.convolution(b, f"{name}/Branch_1/Conv2d_0b_1x7", f"{state}.branch1.1", 128, padded=True)
    b = walk.convolution(b, f"{name}/Branch_1/Conv2d_0c_7x1", f"{state}.branch1.2", 128, padded=True)
    return walk.rectified(walk.residual(at, name, state, [a, b], 0.10), name)


def _mixed_7a(walk: _Walk, at: str) -> str:
    ends = []
    for branch, out in enumerate((384, 256, 256)):
        name, state = f"Mixed_7a/Branch_{branch}", f"mixed_7a.branch{branch}"
        end = walk.convolution(at, f"{name}/Conv2d_0a_1x1", f"{state}.0", 256)
        if branch == 2:
            end = walk.convolution(end, f"{name}/Conv2d_0b_3x3", f"{state}.1", 256, padded=True)
        last = f"{state}.{2 if branch == 2 else 1}"
        ends.append(walk.convolution(end, f"{name}/Conv2d_1a_3x3", last, out, stride=2))
    return walk.concat([*ends, walk.pool(at, "Mixed_7a/Branch_3/MaxPool_1a_3x3")], "Mixed_7a")


def _block8(walk: _Walk, at: str, name: str, state: str, scale: float) -> str:
    a = walk.convolution(at, f"{name}/Branch_0/Conv2d_1x1", f"{state}.branch0", 192)
    b = walk.convolution(at, f"{name}/Branch_1/Conv2d_0a_1x1", f"{state}.branch1.0", 192)
    b = walk.convolution(b, f"{name}/Branch_1/Conv2d_0b_1x3", f"{state}.branch1.1", 192, padded=True)
    b = walk.convolution(b, f"{name}/Branch_1/Conv2d_0c_3x1", f"{state}.branch1.2", 192, padded=True)
    return walk.residual(at, name, state, [a, b], scale)
