"""Which ways there are to compute a model, and what is said where there is none."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.errors import CannotStart, InvalidModel
from workers.faces.batching import NoRoom
from workers.faces.embed import Crops, Network
from workers.faces.values import Vectors
from workers.models import onnx_session, runtimes
from workers.models.bundle import Bundle
from workers.models.onnx_session import Provider
from workers.models.runtimes import Computing, Variant, Way

WITHOUT_GPU = pytest.mark.skipif(
    runtimes.looks_like_cuda() or onnx_session.has("cuda"), reason="this machine has a GPU, or libraries for one"
)


def test_on_processors_int8_goes_before_float32() -> None:
    found = _ways(Computing())

    assert [(way.variant, way.runtime, way.device) for way in found] == [
        ("int8", "onnxruntime", "cpu"),
        ("int8", "onnxruntime", "cpu"),
        ("fp32", "onnxruntime", "cpu"),
    ]


@WITHOUT_GPU
def test_where_there_is_no_gpu_auto_is_the_processor() -> None:
    assert _ways(Computing(device="auto")) == _ways(Computing(device="cpu"))


@WITHOUT_GPU
def test_a_gpu_that_was_asked_for_and_is_missing_is_never_replaced_in_silence(bundle: Bundle) -> None:
    with pytest.raises(CannotStart, match="COLEGA_DEVICE=auto"):
        bundle.embedder(computing=Computing(device="cuda"))


def test_int8_on_a_gpu_is_said_not_to_exist(bundle: Bundle) -> None:
    with pytest.raises(CannotStart, match="processors only"):
        bundle.embedder(computing=Computing(device="cuda", variant="int8"))


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
def test_half_precision_on_a_processor_is_said_to_need_a_gpu(bundle: Bundle, variant: Variant) -> None:
    with pytest.raises(CannotStart, match="need a GPU"):
        bundle.embedder(variant)


def test_torch_is_not_offered_for_what_is_no_facenet() -> None:
    with pytest.raises(CannotStart, match="FaceNet only"):
        list(runtimes.ways(Computing(runtime="torch"), _files, _network, None))


def test_a_variant_that_a_bundle_lacks_is_named_with_the_reason(bundle: Bundle) -> None:
    """A bundle whose int8 was refused says why."""
    lacking = Bundle.open(bundle.directory)
    lacking.files = {name: digest for name, digest in bundle.files.items() if not name.startswith("int8")}

    with pytest.raises(InvalidModel, match="has no int8 variant"):
        lacking.embedder("int8")
    assert lacking.embedder().variant == "fp32"


@pytest.mark.skipif(onnx_session.has("cuda"), reason="this ONNX Runtime was built for CUDA")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_an_onnx_runtime_without_the_provider_says_what_to_install(bundle: Bundle, provider: Provider) -> None:
    with pytest.raises(CannotStart, match="onnxruntime-gpu"):
        onnx_session.session(bundle.directory / "model.onnx", provider)


def test_onnx_runtimes_full_memory_is_told_from_other_errors() -> None:
    with pytest.raises(NoRoom), onnx_session.room():
        raise RuntimeError("BFCArena: Failed to allocate memory for requested buffer of size 9")
    with pytest.raises(RuntimeError, match="shape"), onnx_session.room():
        raise RuntimeError("Got invalid shape")


def _ways(computing: Computing) -> list[Way]:
    """Without the functions that open them, which differ each time."""
    found = runtimes.ways(computing, _files, _network, None)
    return [Way(way.variant, way.runtime, way.device, way.batch, _nothing) for way in found]


def _nothing() -> Network:
    return _run


def _run(crops: Crops) -> Vectors:
    return np.zeros((len(crops), 2), np.float32)


def _files(variant: Variant) -> Sequence[Path]:
    names: dict[Variant, list[str]] = {"int8": ["int8.onnx", "int8-narrow.onnx"], "fp32": ["model.onnx"]}
    return [Path(name) for name in names.get(variant, [])]


def _network(path: Path, provider: Provider, memory_mb: int) -> Network:
    del path, provider, memory_mb
    return _run
