"""Crops: what a model sees of a chip, as its ``model.json`` says. Two kinds, cut by :meth:`cut` alike.

A chip holds the face, its landmarks and the map from the photo. A *stretched box* is a window of the chip as it is. *Five
points* turn, scale and move the face so that its landmarks come to lie on a template; the chip's own stretch is undone on
the way, in the same single resampling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.errors import InvalidModel
from workers.faces import chips
from workers.faces.values import Box, Chip, Pixels

STRETCHED_BOX, FIVE_POINT = "stretched-box", "five-point"
SMALLEST_PX, LARGEST_PX = 16, 512

ARCFACE_112: tuple[tuple[float, float], ...] = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Where ArcFace-like models of 112x112 pixels want eyes, nose and corners of the mouth (insightface,
``python-package/insightface/utils/face_align.py``). Whole numbers are the middles of pixels, as OpenCV counts."""

_LEAST_SPREAD_PX = 1.0
"""Landmarks that lie closer together than this say nothing about where the face is."""
_MOST_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class StretchedBox:
    """The central *window_px* of the chip, brought to *side_px*: FaceNet's crop, where both are 160."""

    side_px: int
    window_px: int

    def cut(self, chip: Chip) -> Pixels:
        """The crop of *chip*, (side_px, side_px, 3) uint8, RGB.

        Raises:
            InvalidModel: *chip* is no chip.
        """
        pixels = chips.decode(chip.jpeg)
        if self.window_px == self.side_px:
            return chips.central(pixels, self.side_px)
        start = (chips.CHIP_PX - self.window_px) / 2
        return chips.resample(pixels, Box(start, start, self.window_px, self.window_px), self.side_px)


@dataclass(frozen=True, slots=True)
class FivePoint:
    """The face as it lies when its five landmarks are on *template*, as near as turning, scaling and moving brings them."""

    side_px: int
    template: tuple[tuple[float, float], ...]
    """Five times x, y in pixels of the crop; whole numbers are the middles of pixels."""

    def cut(self, chip: Chip) -> Pixels:
        """The crop of *chip*, (side_px, side_px, 3) uint8, RGB, black where the chip ends.

        Landmarks that coincide say nothing; then the chip's central window is taken, which holds the face as well.

        Raises:
            InvalidModel: *chip* is no chip.
        """
        pixels = chips.decode(chip.jpeg)
        to_photo = np.linalg.inv(np.vstack([chip.map, [0, 0, 1]]))
        in_photo = chips.mapped(to_photo[:2], chip.landmarks).astype(np.float64)
        wanted = np.asarray(self.template) + 0.5  # From the middles of pixels to their edges, as chips count.
        move = similarity(in_photo, wanted)
        if move is None:
            return StretchedBox(self.side_px, chips.WINDOW_PX).cut(chip)
        to_chip = chip.map @ np.linalg.inv(np.vstack([move, [0, 0, 1]]))
        return _warped(pixels, to_chip, self.side_px)


Crop = StretchedBox | FivePoint


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The turn, scale and move that bring *source* nearest to *target* in the least squares (Umeyama 1991, without mirroring).

    In the plane it is one division of complex numbers.

    Args:
        source: (n, 2) points.
        target: (n, 2) points.

    Returns:
        A (2, 3) map, or None where the points of *source* are not finite or coincide.
    """
    a, b = source[:, 0] + 1j * source[:, 1], target[:, 0] + 1j * target[:, 1]
    centred = a - a.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if not np.isfinite(spread) or spread < _LEAST_SPREAD_PX**2:
        return None
    turn = complex((centred.conj() * (b - b.mean())).sum() / spread)
    move = complex(b.mean()) - turn * complex(a.mean())
    return np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])


def of_description(described: Mapping[str, Any]) -> Crop:
    """The crop that the ``crop`` of a ``model.json`` describes.

    Raises:
        InvalidModel: A field is missing, unknown or out of range; the sentence names it.
    """
    kind = described.get("kind")
    fields = {STRETCHED_BOX: {"window_px"}, FIVE_POINT: {"template"}}.get(str(kind))
    if fields is None:
        raise InvalidModel(f"crop.kind is {kind!r}; it must be {STRETCHED_BOX} or {FIVE_POINT}.")
    unknown = sorted(described.keys() - {"kind", "chip_px", "crop_px", *fields})
    if unknown:
        raise InvalidModel(f"crop has the field {unknown[0]}, which {kind} does not know.")
    if described.get("chip_px") != chips.CHIP_PX:
        raise InvalidModel(
            f"crop.chip_px is {described.get('chip_px')!r}; chips here have {chips.CHIP_PX} pixels a side."
        )
    side_px = _whole(described.get("crop_px"), "crop.crop_px", SMALLEST_PX, LARGEST_PX)
    if kind == FIVE_POINT:
        return FivePoint(side_px, template_of(described.get("template"), side_px))
    window_px = _whole(described.get("window_px", side_px), "crop.window_px", SMALLEST_PX, chips.CHIP_PX)
    return StretchedBox(side_px, window_px)


def template_of(points: object, side_px: int) -> tuple[tuple[float, float], ...]:
    """Five points x, y within a crop of *side_px*, the right eye to the right of the left, the mouth below the eyes.

    Raises:
        InvalidModel: They are not that.
    """
    try:
        array = np.asarray(points, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (5, 2) or not np.isfinite(array).all():
        raise InvalidModel(
            "crop.template must be five points x, y: left eye, right eye, nose, left and right mouth corner."
        )
    if (array < 0).any() or (array > side_px).any():
        raise InvalidModel(f"crop.template has a point outside of the crop of {side_px} by {side_px} pixels.")
    left, right, _, mouth_left, mouth_right = array
    if right[0] - left[0] < side_px / 16 or mouth_right[0] <= mouth_left[0]:
        raise InvalidModel("crop.template has left and right exchanged: they are meant as the viewer sees the face.")
    if min(mouth_left[1], mouth_right[1]) <= max(left[1], right[1]):
        raise InvalidModel("crop.template has the mouth above the eyes; y grows downwards.")
    return tuple((float(x), float(y)) for x, y in array)


def _whole(value: object, name: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidModel(f"{name} is {value!r}; it must be a whole number from {least} to {most}.")
    return value


def _warped(pixels: Pixels, to_source: NDArray[np.float64], side_px: int) -> Pixels:
    """*pixels* seen through the (2, 3) map from crop to source, averaged where that shrinks them."""
    shrinks = float(np.sqrt(abs(np.linalg.det(to_source[:, :2]))))
    samples = int(np.clip(round(shrinks), 1, _MOST_SAMPLES))
    finer: Sequence[float] = (to_source @ np.diag([1 / samples, 1 / samples, 1])).ravel().tolist()
    size = (side_px * samples, side_px * samples)
    picture = Image.fromarray(pixels).transform(size, Image.Transform.AFFINE, finer, Image.Resampling.BILINEAR)
    return np.asarray(picture.reduce(samples) if samples > 1 else picture)
