"""Judging pictures of faces."""

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from workers.faces import chips, quality
from workers.faces.values import Box, Detection, Pixels, Points, Quality

CHIPS = Path(quality.__file__).parents[1] / "models" / "reference"
FRONTAL: Points = np.array([[81, 88], [143, 88], [112, 122], [87, 152], [137, 152]], np.float32)


def test_a_portrait_is_good() -> None:
    """An official portrait, large, sharp and looking into the camera."""
    assert _judge(_portrait()).value > 0.8


@pytest.mark.parametrize("radius", [2, 4, 8])
def test_blur_lowers_sharpness(radius: int) -> None:
    """And by that the whole."""
    blurred = np.asarray(Image.fromarray(_portrait()).filter(ImageFilter.GaussianBlur(radius)))

    assert _judge(blurred).sharpness < _judge(_portrait()).sharpness
    assert _judge(blurred).value < _judge(_portrait()).value


@pytest.mark.parametrize("factor", [0.05, 8.0], ids=["dark", "burnt out"])
def test_wrong_exposure_lowers_exposure(factor: float) -> None:
    """In either direction."""
    exposed = (_portrait() * factor).clip(0, 255).astype(np.uint8)

    assert _judge(exposed).exposure < 0.5 < _judge(_portrait()).exposure


def test_a_face_of_few_pixels_is_worse() -> None:
    """However large its chip is: what counts is what the photo held."""
    values = [_judge(_portrait(), side_px=side).value for side in (12, 25, 50, 100, 200)]

    assert values == sorted(values)
    assert values[0] < 0.5 * values[-1]


def test_a_turned_head_is_worse() -> None:
    """The nose moves towards one eye, and the eyes towards each other."""
    profile = FRONTAL.copy()
    profile[:, 0] = [100, 122, 128, 100, 120]

    assert _judge(_portrait(), landmarks=profile).pose < 0.3
    assert _judge(_portrait()).pose > 0.9


@pytest.mark.parametrize(
    ("pixels", "landmarks"),
    [
        (np.zeros((224, 224, 3), np.uint8), np.zeros((5, 2), np.float32)),
        (np.full((224, 224, 3), 255, np.uint8), FRONTAL),
    ],
    ids=["black, landmarks in one point", "white"],
)
def test_any_picture_has_a_quality(pixels: Pixels, landmarks: Points) -> None:
    """A number from 0 to 1, and never not a number."""
    parts = astuple(_judge(pixels, landmarks=landmarks))

    assert all(0 <= part <= 1 for part in parts)


def _portrait() -> Pixels:
    return chips.decode((CHIPS / "00.jpg").read_bytes())


def _judge(pixels: Pixels, *, side_px: float = 160, landmarks: Points = FRONTAL) -> Quality:
    return quality.judge(Detection(Box(0, 0, side_px, side_px * 1.3), landmarks, 0.999), pixels, landmarks)
