"""The values that the face pipeline passes on: boxes, detections, chips, readings. No behaviour beyond arithmetic."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(height, width, 3) uint8, RGB, upright."""

Points = NDArray[np.float32]
"""(5, 2) float32, x and y in pixels: left eye, right eye, nose, left and right corner of the mouth, as the viewer sees them."""

Vectors = NDArray[np.float32]
"""(n, d) float32, rows of L2 norm 1."""


@dataclass(frozen=True, slots=True)
class Box:
    """An upright rectangle in pixels: its left upper corner and its size. It may reach beyond the photo."""

    x: float
    y: float
    w: float
    h: float

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.w * self.h


@dataclass(frozen=True, slots=True)
class Detection:
    """Where a face is: box and landmarks in pixels of the photo it was asked about, score in (0, 1]."""

    box: Box
    landmarks: Points
    score: float


@dataclass(frozen=True, slots=True)
class Decoded:
    """A photo, upright and 8-bit RGB, perhaps at a fraction of its resolution.

    ``pixels`` times ``scale`` is the full resolution: a point (x, y) of ``pixels`` lies at (x * scale_x, y * scale_y)
    of the photo as a person sees it, ``width`` by ``height`` pixels.
    """

    pixels: Pixels
    width: int
    height: int
    format: str

    @property
    def scale_x(self) -> float:
        """Full-resolution pixels to one pixel of ``pixels``, sideways."""
        return self.width / int(self.pixels.shape[1])

    @property
    def scale_y(self) -> float:
        """Full-resolution pixels to one pixel of ``pixels``, downwards."""
        return self.height / int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Chip:
    """The surroundings of one face as they are stored: all that any model will ever see of it."""

    jpeg: bytes
    """224x224, JPEG quality 95, 4:4:4, no metadata."""

    map: NDArray[np.float64]
    """(2, 3) float64, from full-resolution photo pixels to chip pixels."""

    landmarks: Points
    """In chip pixels."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a picture of a face is for recognition, 0 to 1, with the parts it is made of (each 0 to 1)."""

    value: float
    size: float
    sharpness: float
    pose: float
    exposure: float
    detector: float


@dataclass(frozen=True, slots=True)
class Face:
    """A face of a photo, in full-resolution pixels, with the chip cut from it."""

    detection: Detection
    chip: Chip
    quality: Quality
