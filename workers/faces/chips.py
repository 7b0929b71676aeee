"""Chips: the surroundings of a face, cut from a photo once and stored; models see nothing else of it.

Coordinates are continuous: pixel *i* reaches from *i* to *i* + 1, so a picture *w* pixels wide has its edges at 0 and *w*.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.errors import DegenerateBox, InvalidModel
from workers.faces.values import Box, Chip, Decoded, Detection, Pixels

CHIP_PX = 224
WINDOW_PX = 160
"""Side of the central window in which the margin is counted: FaceNet's input."""
MARGIN_PX = 32
"""Of the window's side, both margins together: the detector's box fills the other 128 (facenet-pytorch's margin 32)."""

JPEG_QUALITY = 95
_REDUCING_GAP = 3.0
"""Reductions beyond this begin with averages over whole blocks; the rest is bilinear over its full support."""


def window(box: Box, margin_px: float = MARGIN_PX) -> Box:
    """The region of the photo that becomes the chip of a face with the detector's *box*.

    The box is widened about its centre so that it fills 128/160 of the chip's central 160x160 window, each side by its
    own length: the chip is *stretched*. FaceNet was measured to want this and not landmark alignment
    (docs/evaluation.md, "Crop"). Another *margin_px* than 32 is for measuring.

    Raises:
        DegenerateBox: A side of the box is under one pixel, or not a number.
    """
    if not (box.w >= 1 and box.h >= 1 and np.isfinite([box.x, box.y, box.w, box.h]).all()):
        raise DegenerateBox(f"The box of the face is {box.w:.2f} by {box.h:.2f} pixels; at least 1 by 1 is needed.")
    grown = CHIP_PX / (WINDOW_PX - margin_px)
    w, h = box.w * grown, box.h * grown
    return Box(box.x + (box.w - w) / 2, box.y + (box.h - h) / 2, w, h)


def boxed(region: Box) -> Box:
    """The box whose :func:`window` is *region*."""
    shrunk = (WINDOW_PX - MARGIN_PX) / CHIP_PX
    w, h = region.w * shrunk, region.h * shrunk
    return Box(region.x + (region.w - w) / 2, region.y + (region.h - h) / 2, w, h)


def cut(photo: Decoded, detection: Detection) -> tuple[Chip, Pixels]:
    """Cut a face and its surroundings out of *photo*, by averaging where that shrinks it.

    Args:
        photo: The photo, perhaps at a fraction of its resolution.
        detection: Box and landmarks in full-resolution pixels of *photo*.

    Returns:
        The chip, black where the photo ends, with the map from full-resolution pixels to its own; and its pixels as they
        were before they became a JPEG, (224, 224, 3) uint8.

    Raises:
        DegenerateBox: A side of the box is under one pixel.
    """
    region = window(detection.box)
    place = Box(region.x / photo.scale_x, region.y / photo.scale_y, region.w / photo.scale_x, region.h / photo.scale_y)
    to_chip = np.array(
        [
            [CHIP_PX / region.w, 0, -region.x * CHIP_PX / region.w],
            [0, CHIP_PX / region.h, -region.y * CHIP_PX / region.h],
        ]
    )
    pixels = resample(photo.pixels, place, CHIP_PX)
    return Chip(encode(pixels), to_chip, mapped(to_chip, detection.landmarks)), pixels


def resample(pixels: Pixels, region: Box, side_px: int) -> Pixels:
    """The *region* of *pixels* as a square of *side_px* pixels, (side_px, side_px, 3) uint8, black outside.

    Where that enlarges, cubic; where it shrinks, bilinear with a support that grows with the reduction, so that nothing is
    passed over; reductions by three or more begin with averages over whole blocks.
    """
    height, width = pixels.shape[:2]
    # What the filter reaches for beside the region, so that the region's rim is filtered as its middle is.
    reach_x, reach_y = (int(np.ceil(extent / side_px)) + 2 for extent in (region.w, region.h))
    left, top = int(np.floor(region.x)) - reach_x, int(np.floor(region.y)) - reach_y
    right, bottom = (
        int(np.ceil(region.x + region.w)) + reach_x,
        int(np.ceil(region.y + region.h)) + reach_y,
    )
    inside = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left < 0 or top < 0 or right > width or bottom > height:
        padded = np.zeros((bottom - top, right - left, 3), np.uint8)
        above, before = max(-top, 0), max(-left, 0)
        padded[above : above + inside.shape[0], before : before + inside.shape[1]] = inside
        inside = padded
    picture = Image.fromarray(np.ascontiguousarray(inside))
    x, y = region.x - left, region.y - top
    box = (x, y, x + region.w, y + region.h)
    enlarges = max(region.w, region.h) < side_px
    resampling = Image.Resampling.BICUBIC if enlarges else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((side_px, side_px), resampling, box, _REDUCING_GAP))


def encode(pixels: Pixels) -> bytes:
    """A JPEG of *pixels* as chips are stored: quality 95, 4:4:4, no metadata."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def decode(jpeg: bytes) -> Pixels:
    """The pixels of a stored chip, (224, 224, 3) uint8, RGB.

    Raises:
        InvalidModel: *jpeg* is no chip of ours.
    """
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
        if picture.size != (CHIP_PX, CHIP_PX):  # Before anything is decoded: a damaged one may claim any size.
            raise InvalidModel(f"A chip is {CHIP_PX} by {CHIP_PX} pixels; this one says {picture.size}.")
        pixels = np.asarray(picture)
    if pixels.shape != (CHIP_PX, CHIP_PX, 3):
        raise InvalidModel(f"A chip is {CHIP_PX} by {CHIP_PX} pixels in RGB; this one has the shape {pixels.shape}.")
    return pixels


def central(pixels: Pixels, side_px: int) -> Pixels:
    """The central window of a chip, (side_px, side_px, 3): the crop of models that want the stretched box."""
    start = (CHIP_PX - side_px) // 2
    return pixels[start : start + side_px, start : start + side_px]


def mapped(to_chip: NDArray[np.float64], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (n, 2) of the photo in pixels of the chip, by its (2, 3) *to_chip* map."""
    return (points @ to_chip[:, :2].T + to_chip[:, 2]).astype(np.float32)
