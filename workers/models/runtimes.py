"""The ways in which a model can be computed on this machine: a variant, by a library, on a device, the best one first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from services.errors import CannotStart
from workers.faces.embed import BATCH, Network
from workers.models import onnx_session
from workers.models.facenet_graph import Weights
from workers.models.onnx_session import Provider

Variant = Literal["int8", "fp32", "fp16", "bf16"]
Asked = Literal["auto", "int8", "fp32", "fp16", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
Runtime = Literal["auto", "onnxruntime", "torch"]

ON_GPU = 256
"""Faces at once on a GPU: half of its speed is reached at 32, all of it at about this (docs/gpu.md)."""

_ON_PROCESSORS: tuple[Variant, ...] = ("int8", "fp32")
_IN_TORCH: tuple[Variant, ...] = ("fp16", "bf16", "fp32")


@dataclass(frozen=True, slots=True)
class Computing:
    """What the settings say of how models are computed."""

    variant: Asked = "auto"
    device: Device = "cpu"
    runtime: Runtime = "auto"
    memory_mb: int = 0
    """What one process may take of a GPU; 0 is all there is."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way. Opening it loads the model."""

    variant: Variant
    runtime: str
    device: Literal["cpu", "cuda"]
    batch: int
    """Faces at once at which it is quickest."""
    open: Callable[[], Network]


def ways(
    computing: Computing,
    files: Callable[[Variant], Sequence[Path]],
    network: Callable[[Path, Provider, int], Network],
    weights: Callable[[], Weights] | None,
) -> Iterator[Way]:
    """The ways that *computing* allows and this machine has. With ``cuda`` none of them is on the processor.

    Args:
        computing: What is wanted.
        files: The ONNX graphs that compute a variant, the one to be preferred first.
        network: Opens such a graph by a provider, within so many MB of a GPU.
        weights: Of a FaceNet, which torch can compute; None for other models.

    Raises:
        CannotStart: There is none; the sentence says what is missing.
    """
    found = False
    for way in (*_on_gpu(computing, files, network, weights), *_on_processor(computing, files, network, weights)):
        found = True
        yield way
    if not found:
        raise CannotStart(_missing(computing, known=weights is not None))


def gpu_is_wanted(computing: Computing) -> bool:
    """Whether a GPU is to be looked for: it was asked for, or may be used and seems to be there."""
    return computing.device == "cuda" or (computing.device == "auto" and looks_like_cuda())


def looks_like_cuda() -> bool:
    """Whether this machine has the device files of an NVIDIA GPU; asked before torch, which takes seconds to import."""
    devices = Path("/dev")
    return (devices / "dxg").exists() or any(devices.glob("nvidia[0-9]*"))


def torch_has_cuda() -> bool:
    """Whether torch is installed and can use a GPU."""
    if find_spec("torch") is None:
        return False
    from workers.models import torch_device  # noqa: PLC0415 - torch is imported where it is used, if it is.

    return torch_device.has_cuda()


def _on_gpu(
    computing: Computing,
    files: Callable[[Variant], Sequence[Path]],
    network: Callable[[Path, Provider, int], Network],
    weights: Callable[[], Weights] | None,
) -> Iterator[Way]:
    if not gpu_is_wanted(computing):
        return
    if computing.runtime != "onnxruntime" and weights is not None and torch_has_cuda():
        for variant in _IN_TORCH:
            if computing.variant in {"auto", variant}:
                yield Way(variant, "torch", "cuda", ON_GPU, _torch(weights, variant, "cuda", computing.memory_mb))
    if computing.runtime == "torch":
        return
    by: tuple[tuple[Provider, Variant], ...] = (("tensorrt", "fp16"), ("cuda", "fp32"))
    for provider, variant in by:
        if computing.variant in {"auto", variant} and onnx_session.has(provider):
            for file in files("fp32"):
                open_it = _graph(network, file, provider, computing.memory_mb)
                yield Way(variant, f"onnxruntime ({provider})", "cuda", ON_GPU, open_it)


def _on_processor(
    computing: Computing,
    files: Callable[[Variant], Sequence[Path]],
    network: Callable[[Path, Provider, int], Network],
    weights: Callable[[], Weights] | None,
) -> Iterator[Way]:
    if computing.device == "cuda":
        return
    if computing.runtime == "torch":
        if weights is not None and computing.variant in {"auto", "fp32", "bf16"} and find_spec("torch") is not None:
            variant: Variant = "bf16" if computing.variant == "bf16" else "fp32"
            yield Way(variant, "torch", "cpu", BATCH, _torch(weights, variant, "cpu", 0))
        return
    for variant in _ON_PROCESSORS:
        if computing.variant in {"auto", variant}:
            for file in files(variant):
                yield Way(variant, "onnxruntime", "cpu", BATCH, _graph(network, file, "cpu", 0))


def _graph(
    network: Callable[[Path, Provider, int], Network], file: Path, provider: Provider, memory_mb: int
) -> Callable[[], Network]:
    return lambda: network(file, provider, memory_mb)


def _torch(weights: Callable[[], Weights], variant: Variant, device: str, memory_mb: int) -> Callable[[], Network]:
    def opened() -> Network:
        from workers.models import torch_device, torch_session  # noqa: PLC0415 - As above.

        if device == "cuda":
            torch_device.need_cuda()
            torch_device.take_at_most(memory_mb)
        assert variant != "int8", "torch is not offered for it."
        return torch_session.network(weights(), precision=variant, device=device)

    return opened


def _missing(computing: Computing, *, known: bool) -> str:
    """Why there is no way, and what to do."""
    asked = f"variant {computing.variant}, runtime {computing.runtime}, device {computing.device}"
    if computing.device == "cuda" and computing.variant == "int8":
        return "int8 is computed on processors only: set COLEGA_VARIANT=auto for a GPU, or COLEGA_DEVICE=cpu."
    if computing.device == "cuda" and not looks_like_cuda():
        return "COLEGA_DEVICE is cuda, and this machine shows no NVIDIA GPU (/dev/nvidia0). Set COLEGA_DEVICE=auto."
    if computing.device == "cuda":
        return (
            f"COLEGA_DEVICE is cuda, and nothing here can compute this model on a GPU ({asked}): torch "
            f"{'finds none' if find_spec('torch') else 'is not installed'}, and ONNX Runtime "
            f"{'has CUDA but not for this variant' if onnx_session.has('cuda') else 'was built without CUDA'}. "
            "Install the extra gpu (docs/gpu.md), or set COLEGA_DEVICE=auto."
        )
    if computing.runtime == "torch" and known and find_spec("torch") is None:
        return "COLEGA_RUNTIME is torch, which is not installed. Install the extra train, or set COLEGA_RUNTIME=auto."
    if computing.runtime == "torch" and not known:
        return "torch computes FaceNet only; this model is computed by ONNX Runtime. Set COLEGA_RUNTIME=auto."
    return f"This model cannot be computed as asked ({asked}): fp16 and bf16 need a GPU. Set COLEGA_VARIANT=auto."
