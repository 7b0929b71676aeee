"""Where ONNX Runtime sessions are made: on processors one thread each, lean in memory; on a GPU there or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import onnxruntime

from services import installation
from services.errors import CannotStart
from workers.faces.batching import NoRoom

Provider = Literal["cpu", "cuda", "tensorrt"]
"""Who computes: the processor, CUDA's libraries, or TensorRT, which builds an engine of half precision first."""

_NAMES: dict[Provider, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_CUDA = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
"""float32 as it is written, and no search for the quickest algorithm at every new size of a batch."""
_FULL = ("failed to allocate memory", "out of memory", "alloc_failed")


def has(provider: Provider) -> bool:
    """Whether the ONNX Runtime that is installed was built for *provider*; its libraries may still be missing."""
    return _NAMES[provider] in onnxruntime.get_available_providers()


def session(model: bytes | Path, provider: Provider = "cpu", *, memory_mb: int = 0) -> onnxruntime.InferenceSession:
    """A session for the ONNX model in *model*.

    One thread without spinning: a worker process a core is faster than threads that wait for each other. No memory
    pattern, so that inputs of changing size do not pile up buffers.

    Args:
        model: The file, or its bytes.
        provider: Who computes.
        memory_mb: What it may take of a GPU; 0 is all there is.

    Raises:
        CannotStart: *provider* is not there, or its libraries do not load. ONNX Runtime would compute on the processor and
            say nothing.
    """
    if not has(provider):
        raise CannotStart(
            f"ONNX Runtime here was built without {_NAMES[provider]}. Run: {installation.command_for('gpu')}, "
            "which brings onnxruntime-gpu, or set COLEGA_DEVICE=auto."
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if provider != "cpu" and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries as pip installs them, torch's among them.
    content = model if isinstance(model, bytes) else str(model)
    made = onnxruntime.InferenceSession(content, options, providers=_wanted(provider, model, memory_mb))
    if made.get_providers()[0] != _NAMES[provider]:
        raise CannotStart(
            f"ONNX Runtime has {_NAMES[provider]}, and its libraries do not load here (CUDA and cuDNN of the versions that "
            "onnxruntime-gpu names, TensorRT for TensorRT). Install them, or set COLEGA_DEVICE=auto."
        )
    return made


@contextmanager
def room() -> Iterator[None]:
    """Say :class:`workers.faces.batching.NoRoom` when the device's memory runs out inside."""
    try:
        yield
    except Exception as error:  # ONNX Runtime's errors share no root but this.
        if any(words in str(error).lower() for words in _FULL):
            raise NoRoom from error
        raise


def _wanted(provider: Provider, model: bytes | Path, memory_mb: int) -> list[Any]:
    """The providers in ONNX Runtime's terms. The processor stands last, for the steps that a GPU has no kernel for."""
    cuda = (_NAMES["cuda"], _CUDA | ({"gpu_mem_limit": str(memory_mb * 2**20)} if memory_mb else {}))
    processor = _NAMES["cpu"]
    if provider == "cpu":
        return [processor]
    if provider == "cuda":
        return [cuda, processor]
    engines = (
        {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(model.parent)} if isinstance(model, Path) else {}
    )
    return [(_NAMES["tensorrt"], {"trt_fp16_enable": "1", **engines}), cuda, processor]
