"""MTCNN by torch, many photos at once, beside MTCNN by ONNX Runtime, one after the other."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from services.errors import PhotoRefused
from services.rejections import Rejection
from tests import torch as installed
from workers.faces import decode
from workers.faces.batches import BatchPipeline
from workers.faces.crops import StretchedBox
from workers.faces.detect import Mode
from workers.faces.embed import Embedder
from workers.faces.overlap import best_of_overlapping, iou, share_of_smaller
from workers.faces.pipeline import FacePipeline, Reading
from workers.faces.values import Detection, Pixels
from workers.models import detectors
from workers.models.bundle import Bundle

torch = installed.required()

from workers.models import torch_overlap, torch_session  # noqa: E402 - torch may be missing.
from workers.models.torch_mtcnn import TorchMtcnn  # noqa: E402

MAX_PIXELS = 50_000_000
A_LITTLE_PX = 0.01


@pytest.fixture(scope="module")
def many() -> TorchMtcnn:
    """The detector on the processor."""
    return TorchMtcnn("cpu")


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(Mode))
def test_both_find_the_same_faces(many: TorchMtcnn, examples: Path, mode: Mode) -> None:
    photos = [_pixels(path) for path in sorted(examples.rglob("*.jpg"))]
    photos = photos[-3:] if mode is Mode.THOROUGH else photos  # It takes its time; a group is among the last.
    one = detectors.mtcnn()

    found = many.find_many(photos, mode)

    for photo, seen in zip(photos, found, strict=True):
        _same(seen, one.find(photo, mode))


@pytest.mark.slow
def test_a_photos_faces_do_not_depend_on_its_neighbours(many: TorchMtcnn, examples: Path) -> None:
    """Neither on their number, nor on their sizes, nor on which of them is first."""
    photos = [_pixels(path) for path in sorted(examples.rglob("*.jpg"))[:3]]
    odd = [photos[0][:-3, :-5], photos[1][:401], np.zeros((30, 25, 3), np.uint8)]

    together = many.find_many([*odd, *photos], Mode.BALANCED)

    for photo, seen in zip([*odd, *photos], together, strict=True):
        _same(seen, many.find(photo, Mode.BALANCED))


@pytest.mark.slow
def test_the_batched_path_gives_the_vectors_of_the_other(bundle: Bundle, examples: Path) -> None:
    """From bytes to vectors: read together and one by one; one photo lies on its side, and one is none."""
    photos = [path.read_bytes() for path in sorted(examples.rglob("*.jpg"))]
    photos.insert(2, b"no photo")
    run = torch_session.network(bundle.weights(), precision="fp32", device="cpu")
    embedder = Embedder(
        run, digest="", variant="fp32", dimension=512, crop=StretchedBox(160, 160), agreement=1.0, batch=5
    )
    with ThreadPoolExecutor(2) as threads:
        batched = BatchPipeline(TorchMtcnn("cpu", threads.map), embedder, max_pixels=MAX_PIXELS, threads=threads)
        found = batched.read_all(photos, Mode.BALANCED)
        vectors = batched.embed(_chips(found))
    plain = FacePipeline(detectors.mtcnn(), bundle.embedder("fp32"), max_pixels=MAX_PIXELS)
    expected = plain.read_all(photos, Mode.BALANCED)

    assert isinstance(found[2], PhotoRefused)
    assert found[2].reason is Rejection.NOT_AN_IMAGE
    assert len(vectors) == len(_chips(expected))
    assert float((vectors * plain.embed(_chips(expected))).sum(1).min()) > 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_photos_on_their_side_are_turned_in_the_batched_path_too(
    many: TorchMtcnn, bundle: Bundle, examples: Path, turns: int
) -> None:
    import io

    from PIL import Image

    upright = Image.open(min(examples.rglob("*.jpg"))).convert("RGB")
    turned = io.BytesIO()
    Image.fromarray(np.rot90(np.asarray(upright), turns).copy()).save(turned, "JPEG", quality=95)
    photos = [turned.getvalue(), sorted(examples.rglob("*.jpg"))[1].read_bytes()]
    with ThreadPoolExecutor(1) as threads:
        batched = BatchPipeline(many, bundle.embedder("fp32"), max_pixels=MAX_PIXELS, threads=threads)

        found = batched.read_all(photos, Mode.BALANCED)

    plain = FacePipeline(detectors.mtcnn(), bundle.embedder("fp32"), max_pixels=MAX_PIXELS)
    for seen, data in zip(found, photos, strict=True):
        assert isinstance(seen, Reading)
        _same(list(seen.detections), list(plain.read(data, Mode.BALANCED).detections))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["iou", "smaller"])
def test_suppression_in_groups_is_the_greedy_one(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 40, (120, 2))
    edges = np.concatenate([corners, corners + random.uniform(5, 25, (120, 2))], 1).astype(np.float32)
    scores, group = random.random(120).astype(np.float32), random.integers(0, 6, 120)
    ours, theirs = {"iou": (torch_overlap.iou, iou), "smaller": (torch_overlap.share_of_smaller, share_of_smaller)}[
        kind
    ]

    kept, rank = torch_overlap.best_of_overlapping(
        torch.from_numpy(edges), torch.from_numpy(scores), torch.from_numpy(group), ours, 0.4
    )

    expected = []
    for number in range(6):
        members = np.flatnonzero(group == number)
        best = best_of_overlapping(scores[members], theirs(edges[members], edges[members]), 0.4)
        expected += list(zip(members[best].tolist(), range(len(best)), strict=True))
    assert list(zip(kept.tolist(), rank.tolist(), strict=True)) == expected


def test_a_photo_that_is_too_small_for_any_face_is_none_with_one(many: TorchMtcnn) -> None:
    assert many.find_many([np.zeros((20, 20, 3), np.uint8)], Mode.BALANCED) == [[]]


def _pixels(path: Path) -> Pixels:
    return decode.decode(path.read_bytes(), max_pixels=MAX_PIXELS, want_px=640).pixels


def _chips(readings: list[Reading | PhotoRefused]) -> list:  # type: ignore[type-arg]
    good = [reading for reading in readings if isinstance(reading, Reading)]
    return [reading.face(i).chip for reading in good for i in range(len(reading.detections))]


def _same(found: list[Detection], expected: list[Detection]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        boxes = [(d.box.x, d.box.y, d.box.w, d.box.h) for d in (a, b)]
        np.testing.assert_allclose(boxes[0], boxes[1], atol=A_LITTLE_PX)
        np.testing.assert_allclose(a.landmarks, b.landmarks, atol=A_LITTLE_PX)
        assert abs(a.score - b.score) < 1e-3
