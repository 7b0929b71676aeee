"""FaceNet in torch: facenet-pytorch's InceptionResnetV1 with a bundle's weights, and the same folded for speed."""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from services import installation
from workers.models.facenet_graph import Weights
from workers.models.facenet_state import state_of

_PACKAGE = "facenet_pytorch_models"
"""What the folder ``facenet_pytorch/models`` is imported as."""


def architecture() -> Any:  # noqa: ANN401 - A class of torch's, which has no types here.
    """``InceptionResnetV1`` of the installed facenet-pytorch.

    The folder of its file is opened as a package of its own: ``facenet_pytorch`` itself imports torchvision for its detector,
    which fits one build of torch only and is not needed (docs/decisions/0012-torch-without-torchvision.md).

    Raises:
        CannotStart: facenet-pytorch, or something that it imports, is not installed.
    """
    if _PACKAGE not in sys.modules:
        found = importlib.util.find_spec("facenet_pytorch")  # Of a top-level package; nothing of it is run.
        if found is None or not found.submodule_search_locations:
            raise installation.missing("train", "facenet-pytorch")
        spec = ModuleSpec(_PACKAGE, None, is_package=True)
        spec.submodule_search_locations = [str(Path(found.submodule_search_locations[0]) / "models")]
        sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        return importlib.import_module(f"{_PACKAGE}.inception_resnet_v1").InceptionResnetV1
    except ModuleNotFoundError as error:
        raise installation.missing("train", str(error.name)) from None


def module(weights: Weights) -> nn.Module:
    """InceptionResnetV1 with *weights*, in float32 on the CPU, set to evaluate.

    It takes (n, 3, 160, 160) float32 RGB, standardised as ``(x - 127.5) / 128``, and gives (n, 512) of norm 1. Its batch norms
    are identities with an offset, so that it may be trained.

    Raises:
        CannotStart: facenet-pytorch is not installed.
        InvalidModel: *weights* are not FaceNet's.
    """
    made = architecture()(pretrained=None, classify=False)
    made.load_state_dict({name: torch.from_numpy(array) for name, array in state_of(weights).items()})
    return made.eval()


class Folded(nn.Module):
    """InceptionResnetV1 for inference: batch norms and residual scales are in the convolutions, rectifiers beside them.

    It takes what the module takes and computes in float32 or in the type of :meth:`in_type`; the mean over the last map, the
    last product and the norm are float32. On a GPU a convolution, its bias, the residual and the rectifier are one call of
    cuDNN.

    Args:
        network: As :func:`module` gives it; its layers are taken over.
    """

    def __init__(self, network: Any) -> None:  # noqa: ANN401 - facenet-pytorch's class.
        super().__init__()
        parts = ("conv2d_1a", "conv2d_2a", "conv2d_2b", "maxpool_3a", "conv2d_3b", "conv2d_4a", "conv2d_4b")
        blocks = ("repeat_1", "mixed_6a", "repeat_2", "mixed_7a", "repeat_3", "block8")
        self.body = nn.Sequential(*(_folded(getattr(network, name)) for name in (*parts, *blocks)))
        scale, offset = _affine(network.last_bn)
        self.last = nn.Linear(network.last_linear.in_features, network.last_linear.out_features)
        self.last.weight.data = network.last_linear.weight.data * scale[:, None]
        self.last.bias.data = offset
        self._type = torch.float32

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(n, 3, 160, 160) to (n, 512) float32 of norm 1."""
        first, *rest = self.body
        maps = first(crops.to(first.weight.dtype)).to(self._type)
        for part in rest:
            maps = part(maps)
        return functional.normalize(self.last(maps.float().mean((2, 3))), dim=1)

    def apart(self) -> None:
        """From now on call convolution, residual and rectifier one by one, on a GPU too."""
        for part in self.modules():
            if isinstance(part, Convolution | Residual):
                part.at_once = False

    def in_type(self, dtype: torch.dtype) -> "Folded":
        """The same with convolutions in *dtype*; before bfloat16 the first stays in float32, for pixels have as many bits."""
        self._type = dtype
        self.body[1 if dtype == torch.bfloat16 else 0 :].to(dtype)
        return self


class Convolution(nn.Module):
    """A convolution with its bias, and a rectifier behind it."""

    at_once = True
    """One call of cuDNN on a GPU."""

    def __init__(self, of: Any, scale: torch.Tensor, offset: torch.Tensor) -> None:  # noqa: ANN401 - nn.Conv2d is untyped here.
        super().__init__()
        self.weight = nn.Parameter(of.weight.data * scale[:, None, None, None], requires_grad=False)
        self.bias = nn.Parameter(offset, requires_grad=False)
        self.stride, self.padding = of.stride, of.padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rectified."""
        if x.is_cuda and self.at_once:
            return torch.cudnn_convolution_relu(x, self.weight, self.bias, self.stride, self.padding, (1, 1), 1)
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding).relu_()


class Residual(nn.Module):
    """Branches side by side, through a 1x1 convolution, added to what they began from."""

    at_once = True
    """As :attr:`Convolution.at_once`."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - facenet-pytorch's Block35, Block17 or Block8.
        super().__init__()
        names = [name for name in ("branch0", "branch1", "branch2") if hasattr(block, name)]
        self.branches = nn.ModuleList(_folded(getattr(block, name)) for name in names)
        self.weight = nn.Parameter(block.conv2d.weight.data * block.scale, requires_grad=False)
        self.bias = nn.Parameter(block.conv2d.bias.data * block.scale, requires_grad=False)
        self.rectified = not getattr(block, "noReLU", False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the shape of *x*."""
        side_by_side = torch.cat([branch(x) for branch in self.branches], 1)
        if x.is_cuda and self.at_once and self.rectified:
            one = (1, 1)
            return torch.cudnn_convolution_add_relu(side_by_side, self.weight, x, 1.0, self.bias, one, (0, 0), one, 1)
        found = functional.conv2d(side_by_side, self.weight, self.bias).add_(x)
        return found.relu_() if self.rectified else found


def _folded(part: Any) -> nn.Module:  # noqa: ANN401 - Any module of facenet-pytorch's.
    """*part* with every layer in it folded; Mixed_6a and Mixed_7a keep their own way to put branches together."""
    kind = type(part).__name__
    if kind == "BasicConv2d":
        return Convolution(part.conv, *_affine(part.bn))
    if kind in {"Block35", "Block17", "Block8"}:
        return Residual(part)
    for name, child in part.named_children():
        setattr(part, name, _folded(child))
    return part


def _affine(norm: Any) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 - nn.BatchNorm1d or 2d, untyped here.
    """What a batch norm multiplies by and what it adds, by channel."""
    scale = norm.weight.data.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return scale.float(), (norm.bias.data.double() - norm.running_mean.double() * scale).float()
