"""FaceNet cut in two between its stages: what stays as it is, and what is trained.

Batch norms keep their statistics: those of a few thousand photos are worse than those of half a million, and in a bundle they
are folded into the weights anyway.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from services.errors import InvalidRequest
from workers.models import facenet_state, torch_facenet
from workers.models.facenet_graph import DIVIDE, SUBTRACT, Weights
from workers.training import frozen

STAGES: Mapping[str, Sequence[str]] = {
    "stem": ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b"),
    "repeat_1": ("repeat_1",),
    "mixed_6a": ("mixed_6a",),
    "repeat_2": ("repeat_2",),
    "mixed_7a": ("mixed_7a",),
    "repeat_3": ("repeat_3",),
    "block8": ("block8",),
    "head": ("avgpool_1a", "last_linear", "last_bn"),
}
"""The parts of the network in order, by the names of facenet-pytorch's modules."""


class Standardised(nn.Module):
    """(n, side, side, 3) uint8 to (n, 3, side, side) float32 about zero, as FaceNet takes it."""

    def forward(self, crops: Tensor) -> Tensor:
        """Standardise."""
        return (crops.permute(0, 3, 1, 2).float() - SUBTRACT) / DIVIDE


class Pooled(nn.Module):
    """(n, 1792, 3, 3) to the mean over places, (n, 1792)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average."""
        return maps.mean((2, 3))


class Unit(nn.Module):
    """Rows scaled to norm 1, in float32."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Normalise."""
        return functional.normalize(vectors.float(), dim=1)


class Facenet:
    """FaceNet on a device, with the stages from *first_trained* on to be trained."""

    def __init__(self, weights: Weights, first_trained: str, device: torch.device) -> None:
        """Cut the network.

        Raises:
            InvalidRequest: There is no stage *first_trained*.
        """
        if first_trained not in STAGES:
            raise InvalidRequest(f"FaceNet has no stage {first_trained!r}; its stages are {', '.join(STAGES)}.")
        self.device, self.first_trained = device, first_trained
        self.digest = _digest(weights)
        """Of the weights it began with."""
        self._whole = torch_facenet.module(weights).float().eval().to(device)
        names = list(STAGES)
        at = names.index(first_trained)
        head, stem = first_trained == "head", at == 0
        start: list[nn.Module] = [Standardised()]
        before = [*([] if stem else start), *self._modules(names[:at]), *([Pooled()] if head else [])]
        self._frozen = nn.Sequential(*before).requires_grad_(requires_grad=False)
        after = [*(start if stem else []), *self._modules(names[at:], pooled=head), Unit()]
        self.trained = nn.Sequential(*after).requires_grad_()
        """From there to (n, 512) float32 of norm 1."""
        self._weights, self._making = weights, threading.Lock()
        self._before: frozen.Through | None = None

    def _modules(self, stages: Sequence[str], *, pooled: bool = False) -> list[nn.Module]:
        """The modules of *stages*; the average is left out where it is *pooled* before."""
        found: list[nn.Module] = []
        for name in (module for stage in stages for module in STAGES[stage]):
            if name == "avgpool_1a":
                found += [] if pooled else [Pooled()]
            else:
                found.append(getattr(self._whole, name))
        return found

    def through(self, crops: NDArray[np.uint8]) -> NDArray[Any] | Tensor:
        """Crops through the stages that are not trained, as half floats: an array on a CPU, else a tensor on the device.

        For the stem that is the crops as they are, uint8. Threads may call it at one time.
        """
        if self.device.type == "cpu":
            with self._making:
                if self._before is None:
                    self._before = frozen.before(self._weights, self.first_trained)
            found = self._before(crops)
            return found if found.dtype == np.uint8 else found.astype(np.float16)
        with torch.no_grad():
            given: Tensor = self._frozen(torch.from_numpy(crops).to(self.device))
        return given if given.dtype == torch.uint8 else given.half()

    def parameters(self) -> dict[str, nn.Parameter]:
        """What is trained, by name, in a fixed order."""
        trained = {id(parameter) for parameter in self.trained.parameters()}
        return {name: held for name, held in self._whole.named_parameters() if id(held) in trained}

    def weights(self) -> Weights:
        """The weights as they are now, folded as a bundle has them.

        Raises:
            InvalidModel: One is not finite.
        """
        held = self._whole.state_dict()
        state: dict[str, NDArray[np.float32]] = {
            name: tensor.detach().cpu().numpy() for name, tensor in held.items() if tensor.is_floating_point()
        }
        return dict(facenet_state.network_of(state).weights)

    def precise(self) -> torch.autocast:
        """How forward passes are computed here: bfloat16 products on a GPU, float32 on a CPU."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")


def _digest(weights: Weights) -> str:
    hashed = hashlib.sha256()
    for name in sorted(weights):
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(weights[name]).data)
    return hashed.hexdigest()


def device_of(wanted: str) -> torch.device:
    """The device called *wanted*: ``auto`` is a GPU where there is one.

    Raises:
        InvalidRequest: It is none, or a GPU is asked for where torch sees none.
    """
    if wanted not in {"auto", "cpu", "cuda"}:
        raise InvalidRequest(f"There is no device {wanted!r}; there are auto, cpu and cuda.")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise InvalidRequest("device=cuda was asked for, and torch sees no GPU here; device=cpu works everywhere.")
    return torch.device("cuda" if there and wanted in {"auto", "cuda"} else "cpu")
