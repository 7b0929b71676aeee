"""How good a picture of a face is for recognition: one number, and the five it is made of.

Each part is 0 where recognition was seen to fail and 1 where more of it did not help; the whole is their weighted
geometric mean, so that one hopeless part is not averaged away. docs/evaluation.md, "Quality", shows what it predicts.
"""

import numpy as np

from workers.faces import chips
from workers.faces.values import Detection, Pixels, Points, Quality

_WEIGHTS = {"size": 0.25, "sharpness": 0.25, "pose": 0.25, "exposure": 0.10, "detector": 0.15}
_SIZE_PX = (20.0, 96.0)
_SHARPNESS = (0.004, 0.05)
_SCORE = (0.6, 0.98)
_FLOOR = 0.01
"""So that the product stays a number that can be compared when a part is 0."""


def judge(detection: Detection, pixels: Pixels, landmarks: Points) -> Quality:
    """Judge a face.

    Args:
        detection: In full-resolution pixels: its box tells how much of the face there was to see.
        pixels: The chip, (224, 224, 3) uint8, RGB.
        landmarks: In pixels of the chip.
    """
    face = chips.central(pixels, chips.WINDOW_PX - chips.MARGIN_PX)
    grey = face[:, :, 1].astype(np.float32)  # Green carries most of the luminance, and is there already.
    # The chip is stretched; angles are told in the photo's proportions.
    upright = landmarks * np.array([detection.box.w, detection.box.h], np.float32)
    parts = {
        "size": _ramp(np.log(max(detection.box.area, 1.0)) / 2, np.log(_SIZE_PX[0]), np.log(_SIZE_PX[1])),
        "sharpness": _ramp(np.log(max(detail(grey), 1e-9)), np.log(_SHARPNESS[0]), np.log(_SHARPNESS[1])),
        "pose": frontality(upright),
        "exposure": exposure(grey),
        "detector": _ramp(detection.score, *_SCORE),
    }
    value = float(np.prod([max(parts[name], _FLOOR) ** weight for name, weight in _WEIGHTS.items()]))
    return Quality(value=value, **parts)


def detail(grey: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """Energy of the finest detail (the Laplacian) over that of the whole picture, (h, w) float32; 0 for a flat one."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    variance = float(grey.var())
    return float(laplacian.var()) / variance if variance > 1 else 0.0


def frontality(landmarks: Points) -> float:
    """1 for a face that looks into the camera, 0 for a profile or one lying on its side.

    Args:
        landmarks: (5, 2) in pixels of equal sides.
    """
    left, right, nose, *mouth = landmarks.astype(np.float64)
    eyes, lips = (left + right) / 2, (mouth[0] + mouth[1]) / 2
    across, down = right - left, lips - eyes
    apart, tall = float(np.hypot(*across)), float(np.hypot(*down))
    if min(apart, tall) < 1e-6:
        return 0.0
    roll = abs(np.arctan2(across[1], across[0]))
    # Where the nose lies between the eyes (sideways, in eye distances) and between eyes and mouth (0.55 is straight on).
    yaw = abs(float((nose - (eyes + lips) / 2) @ across)) / apart**2
    pitch = abs(float((nose - eyes) @ down) / tall**2 - 0.55)
    # A profile has its eyes close together for the height of its face.
    narrow = max(0.0, 0.75 - apart / tall)
    return float(np.prod([_ramp(-roll, -1.0, -0.25), _ramp(-yaw, -0.5, -0.1), _ramp(-pitch, -0.4, -0.12), 1 - narrow]))


def exposure(grey: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """1 for a face that is neither dark, burnt out nor flat; (h, w) float32 in 0..255."""
    mean, contrast = float(grey.mean()), float(grey.std())
    clipped = float(((grey <= 2) | (grey >= 253)).mean())
    bright = min(_ramp(mean, 10, 60), _ramp(-mean, -250, -210))
    return bright * _ramp(contrast, 2, 22) * _ramp(-clipped, -0.5, -0.1)


def _ramp(value: float, zero: float, one: float) -> float:
    """0 up to *zero*, 1 from *one*, a line between."""
    return float(np.clip((value - zero) / (one - zero), 0.0, 1.0))
