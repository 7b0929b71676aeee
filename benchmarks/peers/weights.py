"""The frozen graph's arrays under the names of facenet-pytorch's state dict, so that the peer computes the same model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.models import casia_webface, frozen_graph

_SCOPE = "InceptionResnetV1/"
_BLOCKS = {"Repeat": "repeat_1", "Repeat_1": "repeat_2", "Repeat_2": "repeat_3"}
_SINGLE = {"35": {0}, "17": {0}, "8": {0}, "6a": {0}, "7a": set[int]()}
"""Branches that are one convolution, by kind of block."""
_EPSILON = 0.001


def write(path: Path) -> None:
    """Write the state dict of facenet-pytorch's InceptionResnetV1 (without its classifier) to *path* (npz)."""
    constants = frozen_graph.constants(frozen_graph.read(casia_webface.graph_path()))
    np.savez(path, allow_pickle=False, **state_dict(constants))


def state_dict(constants: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Batch norms are folded in the frozen graph, so theirs become the identity with the folded offset as bias."""
    state: dict[str, NDArray[np.float32]] = {}
    for name, array in constants.items():
        if not name.endswith("/weights"):
            continue
        scope = name.removesuffix("/weights")
        if scope == f"{_SCOPE}Bottleneck":
            norm = f"{scope}/BatchNorm"
            state["last_linear.weight"] = array.T
            ones = np.ones(array.shape[1], np.float32)
            mean, variance = constants[f"{norm}/moving_mean"], constants[f"{norm}/moving_variance"]
            _norm(state, "last_bn", ones, constants[f"{norm}/beta"], mean, variance)
            continue
        target = _name(scope.removeprefix(_SCOPE).split("/"))
        kernel = array.transpose(3, 2, 0, 1)
        if target.endswith("conv2d"):
            state[f"{target}.weight"], state[f"{target}.bias"] = kernel, constants[f"{scope}/biases"]
            continue
        state[f"{target}.conv.weight"] = kernel
        ones = np.ones(len(kernel), np.float32)
        _norm(
            state, f"{target}.bn", ones, constants[f"{scope}/Conv2D_bn_offset"], 0 * ones, ones - np.float32(_EPSILON)
        )
    return {name: np.ascontiguousarray(array, np.float32) for name, array in state.items()}


def _norm(state: dict[str, NDArray[np.float32]], name: str, *arrays: NDArray[np.float32]) -> None:
    for key, array in zip(("weight", "bias", "running_mean", "running_var"), arrays, strict=True):
        state[f"{name}.{key}"] = array


def _name(path: list[str]) -> str:
    """The scope of a convolution, below the network's, as facenet-pytorch calls it."""
    top, *rest = path
    if top.startswith("Conv2d"):
        return f"conv2d_{top.split('_')[1]}"
    if top in {"Mixed_6a", "Mixed_7a"}:
        return f"{top.lower()}.{_leaf(top[-2:], rest)}"
    if top == "Block8":
        return f"block8.{_leaf('8', rest)}"
    matched = re.match(r"block(\d+)_(\d+)", rest[0])
    assert matched is not None
    return f"{_BLOCKS[top]}.{int(matched[2]) - 1}.{_leaf(matched[1], rest[1:])}"


def _leaf(kind: str, path: list[str]) -> str:
    if path[0].startswith("Conv2d"):
        return "conv2d"
    branch, layer = int(path[0][-1]), path[1]
    if branch in _SINGLE[kind]:
        return f"branch{branch}"
    if layer.startswith("Conv2d_1x1"):
        return f"branch{branch}.0"
    letter = layer.split("_")[1][-1]
    # In the reducing blocks the last layer is named 1a; it follows one layer or two.
    last = 2 if kind == "6a" or branch == 2 else 1
    place = {"0a": 0, "0b": 1, "0c": 2, "1a": last}[layer.split("_")[1][0] + letter]
    return f"branch{branch}.{place}"
