"""Detect: where the faces of a photo are. The detectors are ``mtcnn.py`` and ``yunet.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from workers.faces.values import Decoded, Detection, Pixels


class Mode(StrEnum):
    """How hard to look."""

    BALANCED = "balanced"
    """Faces down to three and a half percent of the long side."""
    THOROUGH = "thorough"
    """Small faces of large groups too, in several times the time."""


class Detector(Protocol):
    """Finds faces in pixels. Not to be shared by threads at one time."""

    @property
    def rule(self) -> str:
        """Which algorithm, weights and settings; kept with every face. Another rule finds other boxes."""

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:
        """The faces in *pixels*, best score first, in pixels of that array.

        Args:
            pixels: (height, width, 3) uint8, RGB, both sides at least 20.
            mode: How hard to look.
        """


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was found in a photo, and which way up."""

    turned: Decoded
    """The photo after *quarter_turns* (as ``np.rot90`` counts them)."""
    quarter_turns: int
    detections: tuple[Detection, ...]
    """In pixels of ``turned.pixels``, best score first."""


def look(detector: Detector, decoded: Decoded, mode: Mode) -> Sighting:
    """Find the faces of a photo; where there is none, look again with the photo on each of its other sides.

    Photos without the EXIF tag that says which way is up are common; of those that have no face either way, the four
    looks are the price.
    """
    for quarter_turns in (0, 1, 3, 2):
        turned = decoded if quarter_turns == 0 else _turned(decoded, quarter_turns)
        if found := detector.find(turned.pixels, mode):
            return Sighting(turned, quarter_turns, tuple(found))
    return Sighting(decoded, 0, ())


def largest_central(detections: Sequence[Detection], width: int, height: int) -> int:
    """Which face a photo with one label shows: the largest, where one near the centre counts for more.

    A face's area is divided by 1 + 4 d², d being its distance from the centre in half diagonals: at the rim a face must be
    some five times as large as one in the middle to be taken.

    Args:
        detections: At least one.
        width: Of the photo, in the same pixels as the boxes.
        height: As *width*.

    Returns:
        Its place in *detections*.
    """
    half_diagonal = float(np.hypot(width, height)) / 2

    def weight(detection: Detection) -> float:
        box = detection.box
        away = np.hypot(box.x + box.w / 2 - width / 2, box.y + box.h / 2 - height / 2) / half_diagonal
        return box.area / (1 + 4 * float(away) ** 2)

    return max(range(len(detections)), key=lambda i: weight(detections[i]))


def _turned(decoded: Decoded, quarter_turns: int) -> Decoded:
    width, height = decoded.width, decoded.height
    if quarter_turns % 2:
        width, height = height, width
    pixels = np.ascontiguousarray(np.rot90(decoded.pixels, quarter_turns))
    return Decoded(pixels, width, height, decoded.format)
