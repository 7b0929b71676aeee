"""What a training makes smaller: triplets that are too close, distance from the old embeddings, distance from the old weights.

Triplets are those of FaceNet (Schroff, Kalenichenko, Philbin 2015): the squared distance of an anchor to another photo of the
person, plus the margin, is to be less than that to anybody else's. pytorch-metric-learning finds and weighs them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pytorch_metric_learning import distances, losses, miners, reducers
from torch import Tensor, nn

from services.errors import InvalidRequest

MININGS = ("semi-hard", "batch-hard", "all")
"""Which triplets of a batch count: those whose negative is farther than the positive, though within the margin; for each
anchor the farthest positive with the nearest negative; all that violate the margin."""


class Triplets:
    """The triplet loss over a batch of embeddings of norm 1."""

    def __init__(self, mining: str, margin: float) -> None:
        """Prepare the miner.

        Raises:
            InvalidRequest: *mining* is not one of :data:`MININGS`.
        """
        if mining not in MININGS:
            raise InvalidRequest(f"There is no mining {mining!r}; there are {', '.join(MININGS)}.")
        distance = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
        self._miner: Callable[[Tensor, Tensor], Any] = (
            miners.BatchHardMiner(distance=distance)
            if mining == "batch-hard"
            else miners.TripletMarginMiner(
                margin=margin, distance=distance, type_of_triplets="semihard" if mining == "semi-hard" else "all"
            )
        )
        self._loss = losses.TripletMarginLoss(margin=margin, distance=distance, reducer=reducers.AvgNonZeroReducer())

    def __call__(self, embeddings: Tensor, people: Tensor) -> tuple[Tensor, float]:
        """The mean loss of the active triplets, and their number as a share of all triplets of the batch."""
        found = self._miner(embeddings, people)
        loss = self._loss(embeddings, people, found)
        same = people[:, None] == people[None]
        positives, negatives = same.sum(1) - 1, (~same).sum(1)
        every = int((positives * negatives).sum())
        return loss, len(found[0]) / max(every, 1)


def from_target(embeddings: Tensor, targets: Tensor) -> Tensor:
    """Mean of 1 - cosine between *embeddings* and *targets*, both (n, d) of norm 1."""
    return (1 - (embeddings * targets).sum(1)).mean()


def from_start(parameters: Mapping[str, nn.Parameter], start: Mapping[str, Tensor]) -> Tensor:
    """Half the squared distance of all *parameters* from where they started (L2-SP; Li, Grandvalet, Davoine 2018)."""
    return 0.5 * torch.stack([(held - start[name]).square().sum() for name, held in parameters.items()]).sum()
