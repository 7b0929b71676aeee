"""From a photo's bytes to chips and vectors, with the real detector and the real model."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.errors import DegenerateBox, PhotoRefused
from workers.faces import chips
from workers.faces.detect import Mode, largest_central
from workers.faces.pipeline import FacePipeline, Reading, recut
from workers.faces.values import Box, Detection, Pixels, Vectors
from workers.models import detectors
from workers.models.bundle import Bundle

OBAMA = Path("people") / "Barack Obama"


class Dots:
    """A detector of five coloured dots that, like a real one, sees a face only where it is upright."""

    rule = "five dots"
    COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
    PLACES = ((120, 80), (160, 82), (138, 105), (124, 130), (158, 131))

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:
        """One face, its box 20 pixels around the dots."""
        del mode
        places = [np.argwhere((pixels == colour).all(2)).mean(0)[::-1] + 0.5 for colour in self.COLOURS]
        dots = np.array(places, np.float32)
        if not (dots[:2, 1].max() < dots[3:, 1].min() and dots[0, 0] < dots[1, 0]):
            return []
        (x, y), (right, bottom) = (dots.min(0) - 20).tolist(), (dots.max(0) + 20).tolist()
        return [Detection(Box(x, y, right - x, bottom - y), dots, 0.9)]


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> FacePipeline:
    """What a fresh install has."""
    return FacePipeline(detectors.mtcnn(), bundle.embedder(), max_pixels=50_000_000)


def test_one_person_is_nearer_than_two(pipeline: FacePipeline, examples: Path) -> None:
    """Two photos of one president, and one of another."""
    photos = [OBAMA / "1.jpg", OBAMA / "2.jpg", Path("people") / "Joe Biden" / "1.jpg"]
    one, again, other = np.concatenate([_vector(pipeline, (examples / photo).read_bytes()) for photo in photos])

    assert one @ again > 0.6
    assert one @ other < 0.3


def test_a_group_is_read_face_by_face(pipeline: FacePipeline, examples: Path) -> None:
    """Three people side by side: three detections, best first, each with its own vector."""
    reading = pipeline.read((examples / "queries" / "group.jpg").read_bytes(), Mode.BALANCED)

    vectors = pipeline.embed([reading.face(i).chip for i in range(3)])

    scores = [detection.score for detection in reading.detections]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert (vectors @ vectors.T)[np.triu_indices(3, 1)].max() < 0.4


def test_a_stored_chip_gives_the_same_vector_again(pipeline: FacePipeline, examples: Path) -> None:
    """Alone, next year, in other company: that is what a rebuild from chips relies on."""
    reading = pipeline.read((examples / OBAMA / "1.jpg").read_bytes(), Mode.BALANCED)
    chip = reading.face(0).chip

    once, again = pipeline.embed([chip]), pipeline.embed([chip] * 9)

    assert (once * again).sum(1).min() >= 0.9999


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_photo_is_reported_as_it_was_given(bundle: Bundle, turns: int) -> None:
    """Box, landmarks and map lead into the photo as given; the chip is upright."""
    upright = np.zeros((240, 360, 3), np.uint8)
    for colour, (x, y) in zip(Dots.COLOURS, Dots.PLACES, strict=True):
        upright[y - 3 : y + 3, x - 3 : x + 3] = colour
    pipeline = FacePipeline(Dots(), bundle.embedder("int8"), max_pixels=50_000_000)

    reading = pipeline.read(_png(np.rot90(upright, turns)), Mode.BALANCED)

    found, face = reading.detections[0], reading.face(0)
    expected = _turned(np.array(Dots.PLACES, np.float32), turns, width=360, height=240)
    np.testing.assert_allclose(found.landmarks, expected, atol=0.01)
    low, high = found.landmarks.min(0) - 20, found.landmarks.max(0) + 20
    box = found.box
    np.testing.assert_allclose([box.x, box.y, box.x + box.w, box.y + box.h], [*low, *high], atol=0.01)
    np.testing.assert_allclose(chips.mapped(face.chip.map, found.landmarks), face.chip.landmarks, atol=0.01)
    pixels = chips.decode(face.chip.jpeg)
    for colour, (x, y) in zip(Dots.COLOURS, face.chip.landmarks.astype(int), strict=True):
        assert np.abs(pixels[y, x].astype(int) - colour).max() < 40, "the chip shows each landmark where it says"


def test_a_small_face_of_a_large_photo_is_cut_from_its_full_resolution(pipeline: FacePipeline, examples: Path) -> None:
    """The detector looks at a reduced copy; the chip shows what the photo has."""
    portrait = Image.open(examples / OBAMA / "1.jpg")
    large = Image.new("RGB", (6000, 4000), (90, 110, 130))
    large.paste(portrait, (2700, 1500))

    reading = pipeline.read(_jpeg(np.asarray(large)), Mode.BALANCED)

    face = reading.face(0)
    assert (reading.width, reading.height) == (6000, 4000)
    assert 2700 < face.detection.box.x < 2700 + portrait.width
    direct = _vector(pipeline, _jpeg(np.asarray(portrait)))
    assert float((pipeline.embed([face.chip]) @ direct.T).item()) > 0.9
    assert face.quality.sharpness > 0.3


def test_a_photo_without_a_face_is_a_reading_without_detections(pipeline: FacePipeline) -> None:
    """That is an outcome, not an error."""
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)

    reading = pipeline.read(_jpeg(noise), Mode.BALANCED)

    assert reading.detections == ()
    assert (reading.width, reading.height, reading.format) == (300, 200, "jpeg")


def test_bytes_that_are_no_photo_are_refused(pipeline: FacePipeline) -> None:
    """With a reason."""
    with pytest.raises(PhotoRefused):
        pipeline.read(b"no photo", Mode.BALANCED)


def test_nothing_gives_no_vectors(pipeline: FacePipeline) -> None:
    """(0, d), so that callers need no special case."""
    assert pipeline.embed([]).shape == (0, pipeline.embedder.dimension)


def test_a_thumbnail_is_small_and_tells_nothing_else(pipeline: FacePipeline, examples: Path) -> None:
    """No place, no author, no date."""
    exif = Image.Exif()
    exif[0x013B] = "the author"
    out = io.BytesIO()
    Image.open(examples / OBAMA / "1.jpg").save(out, "JPEG", exif=exif)

    thumbnail = pipeline.read(out.getvalue(), Mode.BALANCED).thumbnail(256)

    with Image.open(io.BytesIO(thumbnail)) as picture:
        assert max(picture.size) == 256
        assert not picture.getexif()
    assert b"author" not in thumbnail


def _vector(pipeline: FacePipeline, data: bytes) -> Vectors:
    reading: Reading = pipeline.read(data, Mode.BALANCED)
    chosen = largest_central(reading.detections, reading.width, reading.height)
    return pipeline.embed([reading.face(chosen).chip])


def _jpeg(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "JPEG", quality=95)
    return out.getvalue()


def _png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, "PNG")
    return out.getvalue()


def _turned(
    points: np.ndarray[tuple[int, ...], np.dtype[np.float32]], turns: int, width: int, height: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Where *points* of a photo lie after ``np.rot90`` was applied *turns* times."""
    x, y = points.T
    for _ in range(turns):
        x, y, width, height = y, width - x, height, width
    return np.stack([x, y], 1)


@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
@pytest.mark.parametrize("photo", [OBAMA / "1.jpg", Path("people") / "Grace Hopper" / "1.jpg"])
def test_a_chip_is_cut_again_as_it_was_cut(
    pipeline: FacePipeline, examples: Path, photo: Path, quarter_turns: int
) -> None:
    """From what is kept of a face: its map and its landmarks. A photo that was turned is turned again."""
    with Image.open(examples / photo) as picture:
        turned = Image.fromarray(np.rot90(np.asarray(picture.convert("RGB")), quarter_turns))
    out = io.BytesIO()
    turned.save(out, "JPEG", quality=92)
    found = pipeline.read(out.getvalue(), Mode.BALANCED).face(0)

    again = recut(out.getvalue(), found.chip.map, found.detection.landmarks, max_pixels=50_000_000)

    apart = np.abs(chips.decode(again.jpeg).astype(int) - chips.decode(found.chip.jpeg))
    assert apart.max() <= 2
    assert np.allclose(again.landmarks, found.chip.landmarks, atol=0.01)
    if quarter_turns == 0:
        assert again.jpeg == found.chip.jpeg


def test_no_chip_is_cut_by_a_map_that_shears(examples: Path) -> None:
    data = (examples / OBAMA / "1.jpg").read_bytes()

    with pytest.raises(DegenerateBox):
        recut(data, np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.0]]), np.zeros((5, 2), np.float32), max_pixels=10**8)
