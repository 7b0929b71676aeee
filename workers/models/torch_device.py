"""Torch's device, and what happens when its memory is full."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

from services import installation
from services.errors import CannotStart
from workers.faces.batching import NoRoom

_FULL = ("out of memory", "alloc_failed", "unable to find an engine")
"""What torch, cuBLAS and cuDNN say of a full memory; cuDNN has an engine for what it computed in smaller batches."""
_BROKEN = "previous error during capture"
"""A recording that cannot be ended: CUDA says so of all errors within it alike."""


def has_cuda() -> bool:
    """Whether torch was built for CUDA and finds a GPU that its driver serves."""
    return bool(torch.cuda.is_available())


def need_cuda() -> None:
    """See that torch can use a GPU.

    Raises:
        CannotStart: It cannot; the sentence says what is missing.
    """
    if has_cuda():
        return
    if torch.version.cuda is None:
        raise CannotStart(
            f"COLEGA_DEVICE is cuda, and torch {torch.__version__} is built for CPUs. Install one for CUDA "
            f"({installation.command_for('gpu')}), or set COLEGA_DEVICE=auto."
        )
    raise CannotStart(
        f"COLEGA_DEVICE is cuda, and torch {torch.__version__} finds no GPU. See that nvidia-smi names one, that the driver "
        f"is new enough for CUDA {torch.version.cuda}, and that the container may use it; or set COLEGA_DEVICE=auto."
    )


def take_at_most(memory_mb: int) -> None:
    """Let this process take at most *memory_mb* of its GPU through torch; 0 is all there is."""
    if memory_mb:
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, memory_mb * 2**20 / whole))


@contextmanager
def recording(graph: Any, pool: tuple[int, int]) -> Iterator[None]:  # noqa: ANN401 - torch.cuda.CUDAGraph is untyped here.
    """Record what CUDA is asked for inside into *graph*, which takes its memory from *pool*.

    Where a recording breaks, ``torch.cuda.graph`` leaves its stream the current one and its pool the one that is allocated
    from: every later call would fail. Both are set right here.

    Raises:
        torch.AcceleratorError: It broke.
    """
    outside = torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph, pool=pool):
            yield
    except torch.AcceleratorError:
        torch.cuda.set_stream(outside)
        device = torch.cuda.current_device()
        with suppress(RuntimeError):  # It did end, and something else is wrong.
            torch._C._cuda_endAllocateToPool(device, pool)  # noqa: SLF001 - As torch.cuda.use_mem_pool ends; nothing public does.
            torch._C._cuda_releasePool(device, pool)  # noqa: SLF001 - As above.
        raise


@contextmanager
def room() -> Iterator[None]:
    """Say :class:`NoRoom` when memory runs out inside, with what torch keeps in reserve given back to the device."""
    full = False
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; cuDNN and cuBLAS say it in their own words.
        if not _is_full(error):
            raise
        for reason in _reasons(error):
            traceback.clear_frames(reason.__traceback__)  # They hold on to the tensors that are to be freed.
        full = True
    if full:
        give_back()
        raise NoRoom


def give_back() -> None:
    """Give the device what torch keeps in reserve, when it has done all that it was asked for."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def _is_full(error: BaseException) -> bool:
    """Whether *error*, or one that it came of, says that memory is full: a broken recording hides the reason behind it.

    One with no reason behind it counts: the same computed directly will say what is wrong.
    """
    known = [reason for reason in _reasons(error) if _BROKEN not in str(reason).lower()]
    return not known or any(
        isinstance(reason, torch.OutOfMemoryError) or any(words in str(reason).lower() for words in _FULL)
        for reason in known
    )


def _reasons(error: BaseException | None) -> Iterator[BaseException]:
    """*error* and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
