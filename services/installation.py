"""What is installed here beside the service itself, and the command that puts it right. Reads metadata, imports nothing."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path

from services.errors import CannotStart

SHARED = {"faiss": ("faiss-cpu", "faiss-gpu"), "onnxruntime": ("onnxruntime", "onnxruntime-gpu")}
"""Import packages that two distributions bring, for CPUs and for GPUs: installed together, they overwrite each other."""

_NVIDIA = Path("/proc/driver/nvidia/version")
_CHECKOUT = Path(__file__).resolve().parents[1]


def check(path: Sequence[str] | None = None) -> None:
    """See that what computes on CPUs and what computes on GPUs are not installed over each other.

    Args:
        path: Folders to look in; None: those that this process imports from.

    Raises:
        CannotStart: They are; the sentence has the command that keeps the one for this machine.
    """
    doubled = [pair for pair in SHARED.values() if all(_version(name, path) for name in pair)]
    if not doubled:
        return
    kept = [pair[_NVIDIA.exists()] for pair in doubled]
    pinned = [f"{name}=={_version(name, path)}" for name in kept]
    both = [name for pair in doubled for name in pair]
    pip = f"{shlex.quote(sys.executable)} -m pip"
    raise CannotStart(
        f"{' and '.join(both)} are installed together and have overwritten each other: the extras cpu and gpu exclude each "
        f"other. Run: {pip} uninstall --yes {' '.join(both)} && {pip} install --no-deps {' '.join(pinned)}"
    )


def torch_may_use_a_gpu() -> bool:
    """Whether this machine has an NVIDIA driver, and a torch that was not built for CPUs. Nothing is imported."""
    torch = _version("torch", None)
    return _NVIDIA.exists() and torch is not None and not torch.endswith("+cpu")


def missing(extra: str, what: str) -> CannotStart:
    """That *what* is not installed, and the command that installs it here.

    Args:
        extra: The extra that brings it, such as ``train``.
        what: As a sentence begins with it, such as ``torch``.
    """
    return CannotStart(f"{what} is not installed. Run: {command_for(extra)}")


def command_for(extra: str) -> str:
    """The command that adds an extra to this installation: by ``make`` in a checkout, else by pip."""
    if extra == "train" and (_CHECKOUT / "Makefile").is_file():
        return f"make -C {shlex.quote(str(_CHECKOUT))} install TORCH=torch"
    wanted = f"colega[{extra}]"
    return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(wanted)}"


def _version(name: str, path: Sequence[str] | None) -> str | None:
    context = DistributionFinder.Context(name=name, path=list(sys.path if path is None else path))
    found: Distribution | None = next(iter(MetadataPathFinder.find_distributions(context)), None)
    return None if found is None else found.version
