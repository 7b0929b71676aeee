"""Cutting chips."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.errors import DegenerateBox, InvalidModel
from workers.faces import chips
from workers.faces.values import Box, Decoded, Detection, Pixels

REFERENCE = Path(chips.__file__).parents[1] / "models" / "reference"
LANDMARKS = np.array([[40, 50], [60, 50], [50, 60], [42, 70], [58, 70]], np.float32)


def test_the_box_fills_128_of_the_central_160_pixels() -> None:
    """Stretched: each side by its own length."""
    chip, _ = chips.cut(_photo(400, 300), Detection(Box(100, 50, 64, 96), LANDMARKS, 0.9))

    corners = chips.mapped(chip.map, np.array([[100, 50], [164, 146]], np.float32))

    np.testing.assert_allclose(corners, [[48, 48], [176, 176]], atol=1e-4)


def test_landmarks_lie_where_the_map_says() -> None:
    """They are what other models cut their own crop from."""
    chip, _ = chips.cut(_photo(400, 300), Detection(Box(30, 40, 40, 45), LANDMARKS, 0.9))

    np.testing.assert_allclose(chip.landmarks, chips.mapped(chip.map, LANDMARKS), atol=1e-4)


def test_a_linear_ramp_stays_where_it_was() -> None:
    """No half-pixel shift: in a photo whose colour is its coordinate, each chip pixel has the colour of its place."""
    photo = _photo(256, 256)
    chip, pixels = chips.cut(photo, Detection(Box(80, 90, 60, 70), LANDMARKS, 0.9))

    centres = np.arange(chips.CHIP_PX) + 0.5
    expected_x = (centres - chip.map[0, 2]) / chip.map[0, 0] - 0.5
    expected_y = (centres - chip.map[1, 2]) / chip.map[1, 1] - 0.5

    np.testing.assert_allclose(pixels[100, :, 0], expected_x, atol=1.0)
    np.testing.assert_allclose(pixels[:, 100, 1], expected_y, atol=1.0)


@pytest.mark.parametrize("reduction", [2, 5, 9])
def test_the_cut_does_not_depend_on_the_resolution(reduction: int) -> None:
    """A photo enlarged by whole pixels gives the chip that the photo itself gives: nothing is passed over."""
    small = chips.decode((REFERENCE / "00.jpg").read_bytes())[20:170, :200]
    large = small.repeat(reduction, 0).repeat(reduction, 1)
    box = Box(40, 30, 200 * 0.6, 150 * 0.6)
    scaled = Box(*(reduction * side for side in (box.x, box.y, box.w, box.h)))

    _, of_small = chips.cut(_decoded(small), Detection(box, LANDMARKS, 0.9))
    _, of_large = chips.cut(_decoded(large), Detection(scaled, LANDMARKS, 0.9))

    assert np.abs(of_small.astype(int) - of_large).mean() < 2


@pytest.mark.parametrize(
    ("box", "outside", "inside"),
    [
        (Box(-30, 100, 60, 60), np.s_[:, :95], np.s_[:, 130:]),
        (Box(370, 100, 60, 60), np.s_[:, 130:], np.s_[:, :95]),
        (Box(100, -30, 60, 60), np.s_[:95], np.s_[130:]),
        (Box(100, 270, 60, 60), np.s_[130:], np.s_[:95]),
    ],
    ids=["left", "right", "top", "bottom"],
)
def test_outside_the_photo_is_black(box: Box, outside: tuple[slice, ...], inside: tuple[slice, ...]) -> None:
    """A face at the border keeps its scale; it is neither clipped nor stretched again."""
    white = _decoded(np.full((300, 400, 3), 255, np.uint8))

    _, pixels = chips.cut(white, Detection(box, LANDMARKS, 0.9))

    assert (pixels[outside] == 0).all()
    assert (pixels[inside] == 255).all()


def test_a_reduced_photo_gives_the_same_map() -> None:
    """Boxes and maps speak of full resolution, whatever was decoded."""
    full = _photo(256, 256)
    half = Decoded(full.pixels[::2, ::2], 256, 256, "JPEG")
    detection = Detection(Box(80, 90, 60, 70), LANDMARKS, 0.9)

    (of_full, _), (of_half, pixels) = chips.cut(full, detection), chips.cut(half, detection)

    np.testing.assert_array_equal(of_full.map, of_half.map)
    assert pixels.shape == (224, 224, 3)


@given(
    x=st.floats(-500, 500), y=st.floats(-500, 500), w=st.floats(1, 900), h=st.floats(1, 900), side=st.integers(1, 80)
)
@settings(max_examples=60, deadline=None)
def test_any_box_of_a_pixel_or_more_gives_a_chip(x: float, y: float, w: float, h: float, side: int) -> None:
    """Even one beside the photo, which is all black."""
    photo = _decoded(np.full((side, side + 3, 3), 200, np.uint8))

    chip, pixels = chips.cut(photo, Detection(Box(x, y, w, h), LANDMARKS, 0.9))

    assert pixels.shape == chips.decode(chip.jpeg).shape == (224, 224, 3)


@pytest.mark.parametrize("box", [Box(1, 1, 0.5, 20), Box(1, 1, 20, -3), Box(float("nan"), 1, 20, 20)])
def test_a_box_without_a_pixel_is_refused(box: Box) -> None:
    """Nothing can be seen in it."""
    with pytest.raises(DegenerateBox):
        chips.cut(_photo(100, 100), Detection(box, LANDMARKS, 0.9))


def test_a_chip_is_stored_as_promised() -> None:
    """JPEG, 4:4:4, no metadata, and small."""
    chip, pixels = chips.cut(_photo(400, 300), Detection(Box(100, 50, 64, 96), LANDMARKS, 0.9))

    with Image.open(io.BytesIO(chip.jpeg)) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (224, 224), "RGB")
        assert not picture.getexif()
        assert {layer[1:3] for layer in picture.layer} == {(1, 1)}  # type: ignore[attr-defined]
    assert np.abs(chips.decode(chip.jpeg).astype(int) - pixels).mean() < 2


def test_another_picture_is_no_chip() -> None:
    """What is embedded is a chip, or nothing."""
    out = io.BytesIO()
    Image.new("RGB", (160, 160)).save(out, "JPEG")

    with pytest.raises(InvalidModel):
        chips.decode(out.getvalue())


def _photo(width: int, height: int) -> Decoded:
    """Red is x, green is y (cut off at 255)."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return _decoded(np.stack([x, y, 0 * x], 2).clip(0, 255).astype(np.uint8))


def _decoded(pixels: Pixels) -> Decoded:
    return Decoded(pixels, pixels.shape[1], pixels.shape[0], "JPEG")
