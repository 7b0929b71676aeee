"""Small face embedders in ONNX with random weights: stand-ins for ArcFace and its like, which say something of a face."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DESCRIPTION = """
licence: Apache-2.0
source: https://example.com/embedder
dimension: {dimension}
input: {{layout: {layout}, size: 112, channels: {channels}, mean: 127.5, std: 127.5}}
crop: {{kind: five-point, template: arcface-112}}
"""


def described(dimension: int = 128, layout: str = "NCHW", channels: str = "BGR") -> str:
    """The YAML of :func:`embedder`."""
    return DESCRIPTION.format(dimension=dimension, layout=layout, channels=channels)


def embedder(
    dimension: int = 128,
    *,
    batch: int | str = "n",
    layout: str = "NCHW",
    seed: int = 0,
    side_px: int = 112,
    opset: int = 13,
    scale: float = 1.0,
) -> onnx.ModelProto:
    """Three convolutions, a pooling and a product; ``data`` in, ``vector`` out, not normalised."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Any] = {}
    nodes, at, channels = [], "data", 3
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [at], ["planes"], perm=[0, 3, 1, 2]))
        at = "planes"
    for i, out in enumerate((16, 32, 64)):
        weights[f"w{i}"] = rng.standard_normal((out, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        weights[f"b{i}"] = np.zeros(out)
        nodes.append(helper.make_node("Conv", [at, f"w{i}", f"b{i}"], [f"c{i}"], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        at, channels = f"r{i}", out
    nodes.append(helper.make_node("MaxPool", [at], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    count = channels * (side_px // 16) ** 2
    weights["w"], weights["b"] = scale * rng.standard_normal((dimension, count)) / np.sqrt(count), np.zeros(dimension)
    nodes.append(helper.make_node("Gemm", ["flat", "w", "b"], ["vector"], transB=1))
    shape = [batch, 3, side_px, side_px] if layout == "NCHW" else [batch, side_px, side_px, 3]
    graph = helper.make_graph(
        nodes,
        "embedder",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, dimension])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def as_another(detector: Path, folder: Path, name: str) -> Path:
    """The same net under another digest: a service knows a file that it was given before by the name it had then."""
    net = onnx.load(detector)
    net.doc_string = name
    path = folder / f"{name}.onnx"
    onnx.save(net, path)
    return path
