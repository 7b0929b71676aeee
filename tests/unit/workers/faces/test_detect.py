"""Both detectors find the faces of the examples, whichever way up; a label goes to the right face."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from workers.faces.decode import decode
from workers.faces.detect import Detector, Mode, largest_central, look
from workers.faces.overlap import areas, best_of_overlapping, iou, share_of_smaller
from workers.faces.values import Box, Decoded, Detection, Pixels
from workers.models import detectors


def _photo(path: Path) -> Decoded:
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return Decoded(pixels, pixels.shape[1], pixels.shape[0], "jpeg")


def _turned(photo: Decoded, quarter_turns: int) -> Decoded:
    pixels: Pixels = np.ascontiguousarray(np.rot90(photo.pixels, quarter_turns))
    return Decoded(pixels, pixels.shape[1], pixels.shape[0], "jpeg")


@pytest.fixture(scope="module", params=["mtcnn", "yunet"])
def detector(request: pytest.FixtureRequest) -> Detector:
    """MTCNN always; YuNet where its file is."""
    if request.param == "mtcnn":
        return detectors.mtcnn()
    return detectors.yunet_file(request.getfixturevalue("shared") / "models" / "yunet_2026may.onnx")


@pytest.mark.parametrize("mode", list(Mode))
def test_every_face_of_the_group_is_found_once(detector: Detector, mode: Mode, examples: Path) -> None:
    found = detector.find(_photo(examples / "queries" / "group.jpg").pixels, mode)

    assert sorted(round(d.box.x + d.box.w / 2, -2) for d in found) == [200, 700, 1100]


def test_landmarks_lie_in_their_box_and_in_their_order(detector: Detector, examples: Path) -> None:
    for detection in detector.find(_photo(examples / "queries" / "group.jpg").pixels, Mode.BALANCED):
        left_eye, right_eye, nose, left_mouth, right_mouth = detection.landmarks
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert left_eye[1] < nose[1] < left_mouth[1]


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_photo_is_read_whichever_way_up_it_was_kept(detector: Detector, examples: Path, quarter_turns: int) -> None:
    for path in sorted((examples / "people").rglob("*.jpg")):
        seen = look(detector, _turned(_photo(path), quarter_turns), Mode.BALANCED)

        assert seen.detections, path.parent.name
        first = seen.detections[0].landmarks
        assert first[:2, 1].mean() < first[3:, 1].mean(), path.parent.name  # Eyes above the mouth.


@pytest.mark.parametrize("width_px", [60, 110, 150])
def test_a_face_that_fills_the_photo_is_found(detector: Detector, examples: Path, width_px: int) -> None:
    for path in sorted((examples / "people").rglob("*.jpg")):
        photo = _photo(path).pixels
        box = max(detector.find(photo, Mode.BALANCED), key=lambda found: found.box.area).box
        corners = (int(box.x), int(box.y - box.h / 10), int(box.x + box.w), int(box.y + box.h * 1.1))
        tight = Image.fromarray(photo).crop(corners)
        pixels = np.asarray(tight.resize((width_px, round(width_px * tight.height / tight.width))))

        seen = look(detector, Decoded(pixels, pixels.shape[1], pixels.shape[0], "jpeg"), Mode.BALANCED)

        assert seen.quarter_turns == 0, path.parent.name
        assert [found.box.w > 0.8 * width_px for found in seen.detections] == [True], path.parent.name


def test_a_photo_without_a_face_has_none(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)

    assert look(detector, Decoded(noise, 320, 240, "png"), Mode.BALANCED).detections == ()


class SeesNobody:
    """A detector that finds nothing, and counts how often it was asked."""

    rule = "nobody"

    def __init__(self) -> None:
        self.asked = 0

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:  # noqa: ARG002 - the protocol's
        self.asked += 1
        return []


def test_a_frame_of_a_camera_is_looked_at_once_where_a_photo_is_turned_and_looked_at_again() -> None:
    asked = {}
    for mode in (Mode.FRAME, Mode.BALANCED):
        nobody = SeesNobody()
        look(nobody, Decoded(np.zeros((48, 64, 3), np.uint8), 64, 48, "jpeg"), mode)
        asked[mode] = nobody.asked

    assert asked == {Mode.FRAME: 1, Mode.BALANCED: 5}


@pytest.mark.parametrize("shape", [(20, 20), (20, 3000), (3000, 20), (21, 640)])
def test_narrow_photos_do_no_harm(detector: Detector, shape: tuple[int, int]) -> None:
    assert detector.find(np.full((*shape, 3), 127, np.uint8), Mode.THOROUGH) == []


def test_a_label_goes_to_a_large_face_in_the_middle() -> None:
    def at(x: float, y: float, side: float) -> Detection:
        return Detection(Box(x, y, side, side), np.zeros((5, 2), np.float32), 1.0)

    middle, corner_larger, corner_huge = at(100, 100, 50), at(0, 0, 70), at(0, 0, 160)

    assert largest_central([corner_larger, middle], 250, 250) == 1
    assert largest_central([corner_huge, middle], 250, 250) == 0


SIDES = st.tuples(*[st.floats(0, 100, width=32) for _ in range(2)], *[st.floats(1, 50, width=32) for _ in range(2)])


@given(st.lists(SIDES, min_size=1, max_size=12), st.floats(0.05, 0.95))
def test_of_overlapping_boxes_the_best_stay_and_no_two_of_them_overlap(
    boxes: list[tuple[float, float, float, float]], threshold: float
) -> None:
    edges = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], np.float32)
    scores = np.linspace(1, 0, len(edges), dtype=np.float32)

    kept = best_of_overlapping(scores, iou(edges, edges), threshold)

    overlap = iou(edges[kept], edges[kept]) - np.eye(len(kept), dtype=np.float32)
    assert kept[0] == 0
    assert overlap.max(initial=0) <= threshold + 1e-4
    for gone in set(range(len(edges))) - set(kept.tolist()):
        assert iou(edges[gone : gone + 1], edges[kept]).max() > threshold


@given(st.lists(SIDES, min_size=1, max_size=8))
def test_overlap_is_a_share(boxes: list[tuple[float, float, float, float]]) -> None:
    edges = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes], np.float32)

    for matrix in (iou(edges, edges), share_of_smaller(edges, edges)):
        assert np.all((matrix >= 0) & (matrix <= 1 + 1e-4))
        np.testing.assert_allclose(np.diagonal(matrix), 1, rtol=1e-3)
    assert np.all(areas(edges) > 0)


def test_a_face_is_found_in_each_odd_file_that_shows_one(detector: Detector, shared: Path) -> None:
    folder = shared / "data" / "odd_files"
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        with_faces = [row["file"] for row in csv.DictReader(file) if row["expect"] == "face"]

    missed = [
        name
        for name in with_faces
        if not look(
            detector,
            decode((folder / name).read_bytes(), max_pixels=50_000_000, want_px=640),
            Mode.BALANCED,
        ).detections
    ]

    assert not missed
    assert len(with_faces) > 80


def test_every_annotated_nose_lies_in_a_box(detector: Detector, shared: Path) -> None:
    folder = shared / "data" / "compreface_samples"
    found = extra = 0
    for row in json.loads((folder / "annotations.json").read_text("utf-8")):
        decoded = decode((folder / row["file"]).read_bytes(), max_pixels=50_000_000, want_px=640)
        boxes = [d.box for d in detector.find(decoded.pixels, Mode.BALANCED)]
        for x, y in row["noses"]:
            at_x, at_y = x / decoded.scale_x, y / decoded.scale_y
            hit = next((b for b in boxes if b.x <= at_x <= b.x + b.w and b.y <= at_y <= b.y + b.h), None)
            if hit is not None:
                boxes.remove(hit)
                found += 1
        extra += len(boxes)

    assert (found, extra <= 1) == (46, True)
