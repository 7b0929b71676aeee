"""The Siamese network from scratch: twin convolutional subnets with shared weights, judged by one sigmoid unit.

Koch, Zemel and Salakhutdinov, "Siamese Neural Networks for One-shot Image Recognition" (2015), figure 4, on 105x105 crops
in RGB. Beyond the paper, each of which a recipe can leave out: batch normalisation before each activation, and dropout
before the dense layer.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from workers.models.siamese_layers import CROP_PX, FEATURES, KERNELS, POOLED_PX, Layers


class Twin(nn.Module):
    """One of the twins: crops in, vectors of numbers in (0, 1) out; and the unit that judges two of them.

    Args:
        features: Length of the vectors; 4,096 in the paper.
        batch_norm: Normalise by the batch before each activation.
        dropout: Share of the last map's numbers left out while training.
    """

    def __init__(self, *, features: int = FEATURES, batch_norm: bool = True, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for place, (maps, side) in enumerate(KERNELS):
            layers.append(nn.Conv2d(before, maps, side, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(maps))
            layers.append(nn.ReLU())
            if place < len(KERNELS) - 1:
                layers.append(nn.MaxPool2d(2))
            before = maps
        self.maps = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(before * POOLED_PX**2, features, bias=not batch_norm)
        self.norm = nn.BatchNorm1d(features) if batch_norm else nn.Identity()
        self.judge = nn.Linear(features, 1)
        # Alike at first where the vectors are: half of the numbers that two strangers' vectors differ by give even odds.
        nn.init.constant_(self.judge.weight, -20.0 / features)
        nn.init.constant_(self.judge.bias, 4.0)

    def forward(self, crops: Tensor) -> Tensor:
        """The vectors (n, features) float32 in (0, 1) of *crops*, (n, 3, 105, 105) float32 in [-1, 1]."""
        maps = self.dropout(self.maps(crops).flatten(1))
        return torch.sigmoid(self.norm(self.dense(maps)).float())

    def logits(self, a: Tensor, b: Tensor) -> Tensor:
        """Log odds (n,) that row *i* of *a* and of *b*, both (n, features), show one person."""
        with torch.autocast(a.device.type, enabled=False):
            return cast("Tensor", self.judge((a - b).abs())).squeeze(1)


def folded(twin: Twin) -> Layers:
    """The twin's layers as they are used after training: each batch normalisation folded into the layer before it."""
    arrays: Layers = {}
    for name, layer, norm in _layers(twin):
        weight = layer.weight.detach().double()
        bias = torch.zeros(len(weight), dtype=torch.float64) if layer.bias is None else layer.bias.detach().double()
        if norm is not None:
            scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
            weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            bias = (bias.to(scale.device) - norm.running_mean.double()) * scale + norm.bias.detach().double()
        arrays[f"{name}.weight"] = weight.float().cpu().numpy()
        arrays[f"{name}.bias"] = bias.float().cpu().numpy()
    arrays["judge.weight"] = twin.judge.weight[0].detach().cpu().numpy()
    arrays["judge.bias"] = twin.judge.bias.detach().cpu().numpy()
    return arrays


def standardised(crops: Tensor) -> Tensor:
    """Crops (n, 3, 105, 105) of numbers in [0, 255] as the network wants them: float32 in [-1, 1]."""
    assert crops.shape[1:] == (3, CROP_PX, CROP_PX)
    return crops.float() / 127.5 - 1


def _layers(twin: Twin) -> Iterator[tuple[str, nn.Conv2d | nn.Linear, nn.BatchNorm2d | nn.BatchNorm1d | None]]:
    """The layers with weights before the judge, each with the normalisation that follows it."""
    modules = list(twin.maps)
    convolutions = [place for place, module in enumerate(modules) if isinstance(module, nn.Conv2d)]
    for number, place in enumerate(convolutions, start=1):
        after = modules[place + 1]
        yield f"conv{number}", cast("nn.Conv2d", modules[place]), after if isinstance(after, nn.BatchNorm2d) else None
    yield "dense", twin.dense, twin.norm if isinstance(twin.norm, nn.BatchNorm1d) else None
