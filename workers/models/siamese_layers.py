"""The layers of a Siamese network from scratch: how many, how large, and whether arrays are theirs. Light to import.

Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition" (2015), figure 4, in RGB.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidModel

CROP_PX = 105
WINDOW_PX = 160
"""Side of the chip's central window that is brought to 105 pixels."""
FEATURES = 4096
KERNELS = ((64, 10), (128, 7), (128, 4), (256, 4))
"""Maps and side of each convolution; the first three are followed by a halving."""
POOLED_PX = 6
"""Side of the last maps: 105 less each kernel's rim, halved after each of the first three."""

Layers = dict[str, NDArray[np.float32]]
"""``conv1.weight`` (64, 3, 10, 10) … ``dense.weight`` (features, 9216), a ``bias`` to each, ``judge.weight`` (features,),
``judge.bias`` (1,)."""


def shapes(features: int) -> dict[str, tuple[int, ...]]:
    """The shape of every array of a network with vectors of *features* numbers."""
    found: dict[str, tuple[int, ...]] = {}
    before = 3
    for number, (maps, side) in enumerate(KERNELS, start=1):
        found |= {f"conv{number}.weight": (maps, before, side, side), f"conv{number}.bias": (maps,)}
        before = maps
    found |= {"dense.weight": (features, before * POOLED_PX**2), "dense.bias": (features,)}
    return found | {"judge.weight": (features,), "judge.bias": (1,)}


def check(layers: Mapping[str, NDArray[np.float32]]) -> None:
    """See that *layers* are a network's.

    Raises:
        InvalidModel: They are not; names the first array that is not as it should be.
    """
    judge = layers.get("judge.weight")
    wanted = shapes(FEATURES if judge is None else judge.size)
    for name, shape in wanted.items():
        if name not in layers:
            raise InvalidModel(f"The Siamese network's weights lack {name}.")
        if layers[name].shape != shape:
            raise InvalidModel(f"{name} has the shape {layers[name].shape}; {shape} is needed.")
        if not np.isfinite(layers[name]).all():
            raise InvalidModel(f"{name} has numbers that are not finite; the file is damaged.")
    if unknown := sorted(layers.keys() - wanted.keys()):
        raise InvalidModel(f"The weights {unknown[0]} have no place in a Siamese network.")
