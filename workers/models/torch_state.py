"""State dicts in PyTorch's own file format, which is a pickle: read by torch with ``weights_only``, which runs none of it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services import installation
from services.errors import InvalidModel

_NESTED = ("state_dict",)


def read(path: Path, called: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Every float tensor of a state dict by name, as float32; others are passed over.

    Errors name the file as *called*, where it has another name than its path.

    Raises:
        CannotStart: torch is not installed; the sentence has the command.
        InvalidModel: *path* is no state dict, is cut short, or holds anything but tensors. Nothing of it was executed.
    """
    called = called or path.name
    try:
        import torch  # noqa: PLC0415 - heavy, and not installed everywhere
    except ModuleNotFoundError:
        raise installation.missing("train", f"{called} is a file of PyTorch, and torch") from None
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch, pickle and zip each raise their own.
        raise InvalidModel(
            f"{called} is no file of weights alone: {type(error).__name__}. It may be damaged, or hold code; nothing of it "
            "was executed. Save the state dict, or better a .safetensors file."
        ) from error
    for key in _NESTED:
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held:
        raise InvalidModel(f"{called} holds no state dict: save model.state_dict().")
    state: dict[str, NDArray[np.float32]] = {}
    for name, tensor in held.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise InvalidModel(f"{called} holds {str(name)[:40]!r}, which is no tensor: save model.state_dict().")
        if tensor.is_floating_point():
            state[name] = tensor.detach().to(torch.float32).contiguous().numpy()
    return state
