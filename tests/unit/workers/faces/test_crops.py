"""How models cut what they see out of a chip."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.errors import InvalidModel
from workers.faces import chips, crops
from workers.faces.crops import ARCFACE_112, FivePoint, StretchedBox
from workers.faces.values import Chip, Pixels

FACE = np.array(ARCFACE_112) + 0.5
"""Landmarks as they lie in the template, in continuous coordinates."""
ARCFACE = FivePoint(112, ARCFACE_112)


@given(
    turn=st.floats(-np.pi, np.pi),
    scale=st.floats(0.2, 5),
    move=st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
)
def test_a_similarity_is_found_again(turn: float, scale: float, move: tuple[float, float]) -> None:
    wanted = _similarity(turn, scale, move)

    found = crops.similarity(FACE, FACE @ wanted[:, :2].T + wanted[:, 2])

    assert found is not None
    np.testing.assert_allclose(found, wanted, atol=1e-6 * max(scale * 100, 300))


def test_the_similarity_is_the_one_that_misses_least() -> None:
    """No other turn, scale or move brings five displaced points nearer to the template."""
    rng = np.random.default_rng(3)
    points = FACE + rng.normal(0, 3, FACE.shape)
    found = crops.similarity(points, FACE)
    assert found is not None

    def misses(by: NDArray[np.float64]) -> float:
        return float(((points @ by[:, :2].T + by[:, 2] - FACE) ** 2).sum())

    others = [_near(found, rng) for _ in range(200)]

    assert all(misses(found) <= misses(other) for other in others)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), np.nan), np.full((5, 2), 80.0)])
def test_points_that_say_nothing_have_no_similarity(points: NDArray[np.float64]) -> None:
    assert crops.similarity(points, FACE) is None


def test_landmarks_come_to_lie_on_the_template() -> None:
    """Five white dots in a chip that is stretched and turned are where the template says, to a pixel."""
    to_chip = np.array([[1.5, 0, 20.0], [0, 1.2, 15.0]])  # From the photo: wider than high.
    turned = _similarity(0.3, 0.9, (25, -5))
    in_photo = FACE @ turned[:, :2].T + turned[:, 2]
    in_chip = in_photo @ to_chip[:, :2].T + to_chip[:, 2]
    chip = Chip(_dots(in_chip), to_chip, in_chip.astype(np.float32))

    crop = ARCFACE.cut(chip)

    assert crop.shape == (112, 112, 3)
    for x, y in FACE:
        near = crop[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5].mean(2)
        rows, columns = np.indices(near.shape)
        weight = np.maximum(near - 60, 0)
        middle = ((weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum())
        np.testing.assert_allclose(middle, (4 + y - int(y) - 0.5, 4 + x - int(x) - 0.5), atol=0.35)


def test_a_shrunk_crop_is_an_average() -> None:
    """A fine chequered pattern becomes grey, not another pattern."""
    pixels = np.zeros((224, 224, 3), np.uint8)
    pixels[::2, ::2] = pixels[1::2, 1::2] = 255
    points = (FACE * 1.8).astype(np.float32)

    crop = ARCFACE.cut(Chip(chips.encode(pixels), np.eye(2, 3), points))

    assert crop[20:90, 20:90].std() < 40
    assert 100 < crop[20:90, 20:90].mean() < 155


def test_landmarks_that_coincide_still_give_a_crop() -> None:
    """A photo among thousands must not stop the others: the face is in the middle of its chip."""
    pixels = np.zeros((224, 224, 3), np.uint8)
    pixels[80:144, 80:144] = 200

    crop = ARCFACE.cut(Chip(chips.encode(pixels), np.eye(2, 3), np.full((5, 2), 112, np.float32)))

    assert crop.shape == (112, 112, 3)
    assert crop[56, 56].min() > 150


def test_facenets_crop_is_the_middle_of_the_chip_untouched() -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    chip = Chip(chips.encode(pixels), np.eye(2, 3), np.zeros((5, 2), np.float32))

    crop = StretchedBox(160, 160).cut(chip)

    np.testing.assert_array_equal(crop, chips.decode(chip.jpeg)[32:192, 32:192])


def test_a_window_is_brought_to_the_models_size() -> None:
    chip = Chip(chips.encode(np.full((224, 224, 3), 90, np.uint8)), np.eye(2, 3), np.zeros((5, 2), np.float32))

    crop = StretchedBox(96, 180).cut(chip)

    assert crop.shape == (96, 96, 3)
    assert np.abs(crop.astype(int) - 90).max() <= 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "round"}, "crop.kind"),
        ({"chip_px": 200}, "crop.chip_px"),
        ({"crop_px": 0}, "crop.crop_px"),
        ({"crop_px": 112.0}, "crop.crop_px"),
        ({"window_px": 100}, "window_px"),
        ({"template": [[1, 2]] * 4}, "five points"),
        ({"template": "arcface"}, "five points"),
        ({"template": [[float("nan"), 1]] * 5}, "five points"),
        ({"template": [[200, 10], *ARCFACE_112[1:]]}, "outside"),
        ({"template": [ARCFACE_112[i] for i in (1, 0, 2, 4, 3)]}, "exchanged"),
        ({"template": [ARCFACE_112[i] for i in (3, 4, 2, 0, 1)]}, "mouth above"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused_by_field(changes: Mapping[str, Any], told: str) -> None:
    described = {"kind": "five-point", "chip_px": 224, "crop_px": 112, "template": [list(p) for p in ARCFACE_112]}

    with pytest.raises(InvalidModel, match=told):
        crops.of_description({**described, **changes})


def _similarity(turn: float, scale: float, move: tuple[float, float]) -> NDArray[np.float64]:
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    return np.array([[c, -s, move[0]], [s, c, move[1]]])


def _near(by: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Another similarity, a little off."""
    a, b, x, y = by[0, 0], by[1, 0], by[0, 2], by[1, 2]
    a, b, x, y = np.array([a, b, x, y]) + rng.normal(0, [0.02, 0.02, 1, 1])
    return np.array([[a, -b, x], [b, a, y]])


def _dots(points: NDArray[np.float64]) -> bytes:
    rows, columns = np.indices((224, 224)) + 0.5
    pixels: Pixels = np.full((224, 224, 3), 40, np.uint8)
    for x, y in points:
        pixels[(rows - y) ** 2 + (columns - x) ** 2 < 9] = 255
    return chips.encode(pixels)
