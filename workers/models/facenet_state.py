"""FaceNet's weights as facenet-pytorch keeps them, into the folded ones of a bundle, and back.

A state dict has convolutions without biases, batch norms behind them (epsilon 0.001), residual scales outside the layers
and takes standardised pixels; in a bundle all of that is in the weights. Folding is done in float64 and is exact but for the
last rounding to float32.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.models import facenet_layers
from workers.models.facenet_graph import DIVIDE, SUBTRACT, Network, Weights
from workers.models.facenet_layers import Layer

EPSILON = 0.001
"""What facenet-pytorch's batch norms add to a variance."""

_NORM = ("weight", "bias", "running_mean", "running_var")
_PASSED_OVER = ("num_batches_tracked",)
_CLASSIFIER = "logits."


def network_of(state: Mapping[str, NDArray[np.floating]]) -> Network:
    """The network that facenet-pytorch's InceptionResnetV1 is with *state*, over uint8 pixels.

    Args:
        state: Its 602 tensors by name, of any float type. The classifier's (``logits.*``) and the counters of batch norms
            are passed over.

    Raises:
        InvalidModel: A tensor is missing, unknown, of another shape, or not finite; the sentence names it.
    """
    _check(state)
    weights: Weights = {}
    for layer in facenet_layers.layers().values():
        kernel, bias = _folded(layer, state)
        weights[f"{layer.name}/weights"] = np.ascontiguousarray(kernel, np.float32)
        weights[f"{layer.name}/biases"] = bias.astype(np.float32)
    return Network(facenet_layers.nodes(), weights)


def state_of(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The state dict, 602 float32 tensors, with which facenet-pytorch's InceptionResnetV1 computes what *weights* compute.

    Every batch norm is the identity with the folded offset as its bias, so it may be trained on or frozen.

    Raises:
        InvalidModel: *weights* are not FaceNet's.
    """
    state: dict[str, NDArray[np.float32]] = {}
    for layer in facenet_layers.layers().values():
        try:
            kernel = weights[f"{layer.name}/weights"].astype(np.float64)
            bias = weights[f"{layer.name}/biases"].astype(np.float64)
        except KeyError as error:
            raise InvalidModel(f"FaceNet's weights lack {error.args[0]}.") from None
        if kernel.shape != layer.shape or bias.shape != layer.shape[:1]:
            raise InvalidModel(f"{layer.name} has weights of {kernel.shape}; FaceNet's are {layer.shape}.")
        if layer.name == facenet_layers.FIRST:
            kernel = kernel * DIVIDE
            bias = bias + kernel.sum((1, 2, 3)) * (SUBTRACT / DIVIDE)
        kernel, bias = kernel / layer.scale, bias / layer.scale
        state[f"{layer.state}.weight"] = np.ascontiguousarray(kernel, np.float32)
        if layer.norm is None:
            state[f"{layer.state}.bias"] = bias.astype(np.float32)
        else:
            ones = np.ones(len(bias), np.float32)
            identity = (ones, bias.astype(np.float32), 0 * ones, ones - np.float32(EPSILON))
            state |= {f"{layer.norm}.{key}": array for key, array in zip(_NORM, identity, strict=True)}
    return state


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """The 602 tensors of a state dict, and their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in facenet_layers.layers().values():
        shapes[f"{layer.state}.weight"] = layer.shape
        if layer.norm is None:
            shapes[f"{layer.state}.bias"] = layer.shape[:1]
        else:
            shapes |= {f"{layer.norm}.{key}": layer.shape[:1] for key in _NORM}
    return shapes


def _check(state: Mapping[str, NDArray[np.floating]]) -> None:
    expected = expected_shapes()
    missing = [name for name in expected if name not in state]
    if missing:
        raise InvalidModel(
            f"These are not the weights of FaceNet (InceptionResnetV1): {len(missing)} of its {len(expected)} tensors are "
            f"missing, {missing[0]} among them. Other models are added as ONNX with a description."
        )
    for name, array in state.items():
        if name.startswith(_CLASSIFIER) or name.endswith(_PASSED_OVER):
            continue
        if name not in expected:
            raise InvalidModel(f"The tensor {name} has no place in FaceNet (InceptionResnetV1).")
        if array.shape != expected[name]:
            raise InvalidModel(f"The tensor {name} has the shape {array.shape}; FaceNet's has {expected[name]}.")
        if not np.issubdtype(array.dtype, np.floating):
            raise InvalidModel(f"The tensor {name} is of {array.dtype}; weights are floats.")
        if not np.isfinite(array).all():
            raise InvalidModel(f"The tensor {name} holds a value that is not finite; the file is damaged.")
        if name.endswith("running_var") and (array <= -EPSILON).any():
            raise InvalidModel(f"The tensor {name} holds a negative variance; the file is damaged.")


def _folded(layer: Layer, state: Mapping[str, NDArray[np.floating]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Kernel and bias of a layer in float64, with all that is around it there."""
    kernel = state[f"{layer.state}.weight"].astype(np.float64)
    if layer.norm is None:
        kernel, bias = kernel * layer.scale, state[f"{layer.state}.bias"].astype(np.float64) * layer.scale
    else:
        gamma, beta, mean, variance = (state[f"{layer.norm}.{key}"].astype(np.float64) for key in _NORM)
        scale = gamma / np.sqrt(variance + EPSILON)
        kernel, bias = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1)), beta - mean * scale
    if layer.name == facenet_layers.FIRST:
        # Exact because this convolution is not padded: every kernel element meets a real pixel.
        kernel, bias = kernel / DIVIDE, bias - kernel.sum((1, 2, 3)) * (SUBTRACT / DIVIDE)
    return kernel, bias
