"""Detect: where the faces of a photo are. The detectors are ``mtcnn.py`` and ``yunet.py``."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np

from workers.faces.values import Decoded, Detection, Pixels

TURNS = (0, 1, 3, 2)
"""Quarter turns in the order in which they are tried: upright, on its sides, on its head."""

_FILLS = 0.5
"""Of the photo's shorter side: a face from this width on fills the photo."""


class Mode(StrEnum):
    """How hard to look."""

    BALANCED = "balanced"
    """Faces down to three and a half percent of the long side."""
    THOROUGH = "thorough"
    """Small faces of large groups too, in several times the time."""
    FRAME = "frame"
    """A camera's frame, one of many: a single look, upright, at faces from five percent of the long side."""


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


@runtime_checkable
class ManyDetector(Detector, Protocol):
    """A detector that looks at many photos at once, on a device for which one is too little."""

    def find_many(self, photos: Sequence[Pixels], mode: Mode) -> list[list[Detection]]:
        """For each of *photos* what :meth:`find` gives for it, whatever the others are."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was found in a photo, and which way up."""

    turned: Decoded
    """The photo after *quarter_turns* (as ``np.rot90`` counts them)."""
    quarter_turns: int
    detections: tuple[Detection, ...]
    """In pixels of ``turned.pixels``, best score first."""


def look(detector: Detector, decoded: Decoded, mode: Mode) -> Sighting:
    """Find the faces of a photo; where there is none, look again for one that fills it, then on each of its other sides.

    A face that fills the photo, as in tight crops, falls between the steps of a quick search. Photos without the EXIF tag
    that says which way is up are common. Of photos that have no face at all, the five looks are the price; a camera's frame,
    which is upright and often has none, is looked at once.
    """
    for quarter_turns, effort in _looks(mode):
        turned = turned_by(decoded, quarter_turns)
        if found := _of_use(detector.find(turned.pixels, effort), turned, filling=effort is not mode):
            return Sighting(turned, quarter_turns, found)
    return Sighting(decoded, 0, ())


def look_at_many(detector: ManyDetector, photos: Sequence[Decoded], mode: Mode) -> list[Sighting]:
    """As :func:`look`, for many photos at once; those without a face are looked at together again."""
    seen: dict[int, Sighting] = {}
    for quarter_turns, effort in _looks(mode):
        left = [i for i in range(len(photos)) if i not in seen]
        turned = [turned_by(photos[i], quarter_turns) for i in left]
        for i, photo, all_found in zip(
            left, turned, detector.find_many([t.pixels for t in turned], effort), strict=True
        ):
            if found := _of_use(all_found, photo, filling=effort is not mode):
                seen[i] = Sighting(photo, quarter_turns, found)
    return [seen.get(i, Sighting(photo, 0, ())) for i, photo in enumerate(photos)]


def _looks(mode: Mode) -> list[tuple[int, Mode]]:
    """Quarter turns and efforts in the order in which they are tried."""
    if mode is Mode.FRAME:
        return [(0, mode)]
    upright, *others = [(turns, mode) for turns in TURNS]
    return [upright, *([(0, Mode.THOROUGH)] if mode is Mode.BALANCED else []), *others]


def _of_use(found: Sequence[Detection], photo: Decoded, *, filling: bool) -> tuple[Detection, ...]:
    """What counts of a look: all, or of a second look only faces that fill the photo; small ones were looked for."""
    shorter_px = min(photo.pixels.shape[:2])
    return tuple(each for each in found if not filling or each.box.w >= _FILLS * shorter_px)


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


def turned_by(decoded: Decoded, quarter_turns: int) -> Decoded:
    """*decoded* after *quarter_turns*, as ``np.rot90`` counts them."""
    if quarter_turns == 0:
        return decoded
    width, height = decoded.width, decoded.height
    if quarter_turns % 2:
        width, height = height, width
    pixels = np.ascontiguousarray(np.rot90(decoded.pixels, quarter_turns))
    return Decoded(pixels, width, height, decoded.format)
