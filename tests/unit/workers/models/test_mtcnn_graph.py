"""The rewritten nets say what the originals say."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from workers.models import mtcnn_graph
from workers.models.onnx_session import session

SHAPES = {"pnet": (2, 61, 83), "rnet": (9, 24, 24), "onet": (5, 48, 48)}


def _original(name: str, pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Probability and regressions of the wheel's own net, which takes width and height exchanged and scaled values."""
    net = onnxruntime.InferenceSession(mtcnn_graph.original(name), providers=["CPUExecutionProvider"])
    turned = np.ascontiguousarray((pixels.astype(np.float32) - 127.5).transpose(0, 2, 1, 3) / 128)
    outputs = dict(
        zip([o.name for o in net.get_outputs()], net.run(None, {net.get_inputs()[0].name: turned}), strict=True)
    )
    [probabilities] = [value for key, value in outputs.items() if "softmax" in key]
    others = sorted((value for key, value in outputs.items() if "softmax" not in key), key=lambda v: v.shape[-1])
    return probabilities, others


@pytest.mark.parametrize("name", list(SHAPES))
def test_the_rewritten_net_agrees_with_the_original(name: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*SHAPES[name], 3), dtype=np.uint8)
    probabilities, regressions = _original(name, pixels)

    [found] = session(mtcnn_graph.rewritten(name, mtcnn_graph.original(name))).run(None, {mtcnn_graph.INPUT: pixels})

    if name == "pnet":
        probabilities = probabilities.transpose(0, 2, 1, 3)
        regressions = [regressions[0].transpose(0, 3, 2, 1)]
    logits, rest = found[:, 0], found[:, 1:]
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), probabilities[..., 1], atol=3e-6)
    np.testing.assert_allclose(rest, np.concatenate(regressions, 1), atol=5e-6)
