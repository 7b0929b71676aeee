"""Which path photos take: together where there is a GPU for the detector, one by one elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.photos.store import PhotoStore
from tests import torch as installed
from workers.faces.batches import BatchPipeline
from workers.faces.detect import Mode
from workers.faces.mtcnn import Mtcnn
from workers.faces.pipeline import FacePipeline, Reading
from workers.models.bundle import Bundle
from workers.models.registry import Registry
from workers.models.runtimes import Computing

torch = installed.required()

from workers.models.torch_mtcnn import TorchMtcnn  # noqa: E402 - torch may be missing.

pytestmark = pytest.mark.slow
A_GPU = torch.cuda.is_available()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = Catalog(f"sqlite:///{tmp_path}/catalog.sqlite")
    migrate(made)
    yield made
    made.close()


@pytest.fixture
def looks_like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device file, and a torch that says it can use it. Nothing is computed there: its nets stay where they are."""
    glob = Path.glob

    def found(folder: Path, pattern: str) -> Iterator[Path]:
        return iter([folder / "nvidia0"]) if folder == Path("/dev") else iter(glob(folder, pattern))

    monkeypatch.setattr(Path, "glob", found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)


@pytest.mark.usefixtures("looks_like_a_gpu")
def test_where_there_is_a_gpu_photos_are_looked_at_together(catalog: Catalog, bundle: Bundle) -> None:
    registry = _registry(catalog, bundle, Computing(device="auto", runtime="onnxruntime"))

    pipeline = registry.pipeline(bundle.digest, None)

    assert isinstance(pipeline, BatchPipeline)
    assert isinstance(pipeline.detector, TorchMtcnn)
    assert registry.on_gpu
    assert registry.pipeline(bundle.digest, None).detector is pipeline.detector  # Opened once.


@pytest.mark.usefixtures("looks_like_a_gpu")
def test_a_gpu_that_is_not_to_be_used_is_left_alone(catalog: Catalog, bundle: Bundle) -> None:
    _one_by_one(_registry(catalog, bundle, Computing(device="cpu")), bundle)


@pytest.mark.skipif(A_GPU, reason="torch finds a GPU")
def test_without_a_gpu_photos_are_looked_at_one_by_one(catalog: Catalog, bundle: Bundle) -> None:
    _one_by_one(_registry(catalog, bundle, Computing(device="auto")), bundle)


@pytest.mark.skipif(not A_GPU, reason="there is no GPU")
def test_on_a_gpu_a_chunk_of_photos_becomes_vectors(catalog: Catalog, bundle: Bundle, examples: Path) -> None:
    registry = _registry(catalog, bundle, Computing(device="cuda"))
    pipeline = registry.pipeline(bundle.digest, None)
    photos = [path.read_bytes() for path in sorted(examples.rglob("*.jpg"))]

    readings = [reading for reading in pipeline.read_all(photos, Mode.BALANCED) if isinstance(reading, Reading)]
    chips = [reading.face(i).chip for reading in readings for i in range(len(reading.detections))]

    assert pipeline.embedder.device == "cuda"
    plain = FacePipeline(pipeline.detector, bundle.embedder("fp32"), max_pixels=10**8)
    assert float((pipeline.embed(chips) * plain.embed(chips)).sum(1).min()) > 0.998


def _registry(catalog: Catalog, bundle: Bundle, computing: Computing) -> Registry:
    nowhere = PhotoStore("http://127.0.0.1:1", "none", "none", "none")
    return Registry(catalog, nowhere, bundle.directory.parent, computing=computing, max_pixels=10**8)


def _one_by_one(registry: Registry, bundle: Bundle) -> None:
    pipeline = registry.pipeline(bundle.digest, None)

    assert not isinstance(pipeline, BatchPipeline)
    assert isinstance(pipeline.detector, Mtcnn)
    assert not registry.on_gpu
