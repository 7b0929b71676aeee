"""What a network's tensors come to on real faces: the ranges and the means that int8 is made with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from workers.faces.values import Pixels
from workers.models import onnx_session, quantisation
from workers.models.facenet_graph import INPUT, Network, model_of
from workers.models.quantisation import Means, Measured, Range

SHARE = 0.9
"""Of the faces, that stay within the range kept: the greatest value of all would be steered by one odd face and cost
resolution for all others (docs/evaluation.md, "int8")."""
MANY = 100
"""Faces from which a share of them is kept; of fewer the greatest value of all."""


@dataclass(frozen=True, slots=True)
class Extremes:
    """The least and the greatest value of every tensor for every face, (faces, tensors) each, and the channels' means."""

    names: Sequence[str]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    means: Means


def measured(network: Network, crops: Iterable[Pixels], source: str) -> Measured:
    """The range of every tensor that the faces, or of many a share of them, stay within, and the mean of every channel.

    Args:
        network: In float32.
        crops: (160, 160, 3) uint8, RGB; at least one.
        source: Whose faces they are.
    """
    seen = extremes(network, crops)
    share = SHARE if len(seen.low) >= MANY else 1.0
    lows, highs = np.quantile(seen.low, 1 - share, axis=0), np.quantile(seen.high, share, axis=0)
    ranges = {name: Range(float(a), float(b)) for name, a, b in zip(seen.names, lows, highs, strict=True)}
    return Measured(ranges, seen.means, source)


def extremes(network: Network, crops: Iterable[Pixels]) -> Extremes:
    """Run every crop through *network* and watch its tensors."""
    names = quantisation.measured_tensors(network)
    graph = network.graph()
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in network.weights.items())
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnx_session.session(model_of(graph).SerializeToString())
    low, high = [], []
    sums: dict[str, NDArray[np.float64]] = {"input": np.zeros(3)}
    for crop in crops:
        tensors = session.run(names, {INPUT: crop[None]})
        low.append([tensor.min() for tensor in tensors])
        high.append([tensor.max() for tensor in tensors])
        sums["input"] += crop.mean((0, 1))
        for name, tensor in zip(names, tensors, strict=True):
            sums[name] = sums.get(name, 0.0) + tensor.reshape(*tensor.shape[:2], -1).mean((0, 2), dtype=np.float64)
    means = {name: (total / len(low)).astype(np.float32) for name, total in sums.items()}
    return Extremes(names, np.array(low, np.float32), np.array(high, np.float32), means)
