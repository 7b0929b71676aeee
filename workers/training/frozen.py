"""The stages that stay as they are, on a CPU: by ONNX Runtime, in which they take half of the time that torch takes."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.models import facenet_graph, facenet_layers, onnx_session
from workers.models.facenet_graph import CROP_PX, Weights

Through = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""(n, 160, 160, 3) uint8 to what the first trained stage takes, n rows. Threads may call it at one time."""

_TAKES = {
    "repeat_1": "Conv2d_4b_3x3/Relu",
    "mixed_6a": "Repeat/block35_5/Relu",
    "repeat_2": "Mixed_6a/concat",
    "mixed_7a": "Repeat_1/block17_10/Relu",
    "repeat_3": "Mixed_7a/concat",
    "block8": "Repeat_2/block8_5/Relu",
    "head": "features",
}
"""The tensor of the ONNX graph that each stage begins from."""


def before(weights: Weights, first_trained: str) -> Through:
    """The network up to the stage *first_trained*; up to the stem, nothing."""
    if first_trained == "stem":
        return lambda crops: crops
    output = _TAKES[first_trained]
    session = onnx_session.session(_model(weights, output).SerializeToString())
    return lambda crops: cast("NDArray[Any]", session.run([output], {facenet_layers.INPUT: crops})[0])


def _model(weights: Weights, output: str) -> onnx.ModelProto:
    """The part of the graph that *output* depends on."""
    wanted, kept = {output}, []
    for node in reversed(facenet_layers.nodes()):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    pixels = helper.make_tensor_value_info(facenet_layers.INPUT, TensorProto.UINT8, ["n", CROP_PX, CROP_PX, 3])
    given = onnx.ValueInfoProto(name=output)
    graph = helper.make_graph(kept[::-1], "frozen", [pixels], [given])
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items() if name in wanted)
    return facenet_graph.model_of(graph)
