"""Training a Siamese network from scratch: batches of pairs, affine distortions, and a figure on held-out people."""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workers.evaluation import metrics
from workers.training.siamese_network import Twin, standardised
from workers.training.siamese_pairs import Batch, Pairs, Photos, Rows, figures
from workers.training.siamese_recipe import ScratchRecipe

_BATCH = 128
_SETTLED_ON = 512
"""Photos, at most, that the statistics of batch normalisation are taken from."""

_KOCH_ROTATION_DEGREES, _KOCH_SHEAR, _KOCH_SCALE, _KOCH_SHIFT = 10.0, 0.3, 0.2, 2 / 105
"""Each distortion is drawn evenly from minus to plus this, and applied with a chance of one half."""


class Scratch:
    """A network from scratch as the loop trains it (:class:`workers.training.loop.Subject`).

    Batches are normalised by themselves while it learns, and by the statistics of the training photos when it is judged;
    so there is nothing to a network but its weights.

    Args:
        photos: What the pairs are of.
        pairs: Where batches come from.
        held_out: Photos and people that decide when to stop, or None.
        recipe: How.
        seed: Of the first weights and of every draw.
        device: ``cpu`` or ``cuda``, which computes in bfloat16.
    """

    def __init__(
        self,
        photos: Photos,
        pairs: Pairs,
        held_out: tuple[Photos, Rows] | None,
        recipe: ScratchRecipe,
        *,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self._recipe, self._seed, self._device = recipe, seed, torch.device(device)
        self._photos = torch.from_numpy(photos).to(self._device)
        self._pairs, self._held_out = pairs, held_out
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._twin = Twin(features=recipe.features, batch_norm=recipe.batch_norm, dropout=recipe.dropout)
        self._twin.to(self._device, memory_format=torch.channels_last)

    @property
    def network(self) -> Twin:
        """The network as it stands, ready to judge."""
        return self._settled()

    def parameters(self) -> Mapping[str, nn.Parameter]:
        """All weights."""
        return dict(self._twin.named_parameters())

    def loss(self, step: int) -> tuple[Tensor, Mapping[str, float]]:
        """Binary cross-entropy over the pairs of a batch, mated and non-mated ones weighing half each."""
        random = np.random.default_rng([self._seed, step])
        batch = self._pairs.batch(random)
        crops = self._drawn(batch, random)
        self._twin.train()
        cuda = self._device.type == "cuda"
        with torch.random.fork_rng(devices=[self._device] if cuda else []):
            torch.manual_seed(int(random.integers(2**62)))  # Dropout draws from here.
            with torch.autocast(self._device.type, torch.bfloat16, enabled=cuda):
                vectors = self._twin(crops)
        first, second, same = (torch.from_numpy(a).to(self._device) for a in (batch.first, batch.second, batch.same))
        losses = functional.binary_cross_entropy_with_logits(
            self._twin.logits(vectors[first], vectors[second]), same.float(), reduction="none"
        )
        loss = (losses[same].mean() + losses[~same].mean()) / 2
        if self._recipe.shrink:
            squares = [
                w.square().sum() for name, w in self._twin.named_parameters() if w.ndim > 1 and "judge" not in name
            ]
            loss = loss + self._recipe.shrink / 2 * torch.stack(squares).sum()
        return loss, {}

    def figure(self) -> float:
        """Area under the ROC over all pairs of the held-out people; NaN without any."""
        if self._held_out is None:
            return math.nan
        return judged(self._settled(), *self._held_out)["AUC"]

    def _settled(self) -> Twin:
        """The twin in evaluation mode, normalising by the statistics of the training photos under its present weights."""
        norms = [m for m in self._twin.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
        if norms:
            self._twin.train()
            self._twin.dropout.eval()
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # A plain mean over the batches.
            shown = np.linspace(0, len(self._photos) - 1, min(len(self._photos), _SETTLED_ON)).astype(np.int64)
            with torch.no_grad():
                for rows in np.array_split(np.random.default_rng(0).permutation(shown), -(-len(shown) // _BATCH)):
                    self._twin(standardised(self._photos[torch.from_numpy(rows).to(self._device)].permute(0, 3, 1, 2)))
        self._twin.eval()
        return self._twin

    def _drawn(self, batch: Batch, random: np.random.Generator) -> Tensor:
        """The batch's photos, distorted, as the network takes them."""
        recipe, count = self._recipe, len(batch.rows)
        crops = standardised(self._photos[torch.from_numpy(batch.rows).to(self._device)].permute(0, 3, 1, 2))
        if recipe.colour:
            gain = 1 + recipe.colour * random.uniform(-1, 1, (count, 1, 1, 1))
            gain = gain * (1 + recipe.colour / 2 * random.uniform(-1, 1, (count, 3, 1, 1)))
            offset = recipe.colour * random.uniform(-1, 1, (count, 1, 1, 1))
            crops = crops * self._on_device(gain) + self._on_device(offset)
        maps = distortions(count, recipe.distortion, mirror=recipe.mirror, random=random)
        grid = functional.affine_grid(self._on_device(maps), list(crops.shape), align_corners=False)
        crops = functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)
        return crops.contiguous(memory_format=torch.channels_last)

    def _on_device(self, array: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self._device)


def distortions(count: int, strength: float, *, mirror: bool, random: np.random.Generator) -> NDArray[np.float64]:
    """Affine maps (count, 2, 3) from places of the distorted crop to places of the crop, both in [-1, 1].

    Rotation, shear, scale and shift of Koch et al. times *strength*, each with a chance of one half.
    """

    def drawn(most: float, size: int = 1) -> NDArray[np.float64]:
        return strength * most * random.uniform(-1, 1, (count, size)) * (random.random((count, size)) < 0.5)

    angle = np.deg2rad(drawn(_KOCH_ROTATION_DEGREES))[:, 0]
    shear, scale, shift = drawn(_KOCH_SHEAR, 2), 1 / (1 + drawn(_KOCH_SCALE, 2)), drawn(2 * _KOCH_SHIFT, 2)
    maps = np.zeros((count, 2, 3))
    rotation = np.stack([np.stack([np.cos(angle), -np.sin(angle)], 1), np.stack([np.sin(angle), np.cos(angle)], 1)], 1)
    sheared = np.stack([np.stack([np.ones(count), shear[:, 0]], 1), np.stack([shear[:, 1], np.ones(count)], 1)], 1)
    maps[:, :, :2] = rotation @ sheared * scale[:, None]
    maps[:, :, 2] = shift
    if mirror:
        maps[:, :, 0] *= np.where(random.random(count) < 0.5, -1.0, 1.0)[:, None]
    return maps


def log_odds(twin: Twin, photos: Photos) -> NDArray[np.float32]:
    """Log odds of one person for all with all, (n, n) float32; unlike probabilities they do not run into 0 and 1."""
    device = twin.judge.weight.device
    parts = np.array_split(photos, max(1, -(-len(photos) // _BATCH)))
    with torch.no_grad():
        vectors = torch.cat([twin(standardised(torch.from_numpy(p).to(device).permute(0, 3, 1, 2))) for p in parts])
        rows = [(one[None] - vectors).abs() @ twin.judge.weight[0] + twin.judge.bias for one in vectors]
        return cast("NDArray[np.float32]", torch.stack(rows).cpu().numpy())


def judged(twin: Twin, photos: Photos, people: Rows) -> dict[str, float]:
    """Figures over all pairs of people (:func:`workers.training.siamese_pairs.figures`)."""
    pairs = metrics.split(log_odds(twin, photos), people)
    return figures(pairs.mated, pairs.non_mated)
