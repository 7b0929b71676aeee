"""Varied views of a chip: what another photo of the same person could have looked like.

A view is cut from the chip (224x224) in one resampling, so that a shift or a turn shows what surrounds the face and not a
black rim. Everything is drawn from one generator: the same seed, the same views.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from workers.faces import chips
from workers.faces.values import Pixels


@dataclass(frozen=True, slots=True)
class Variation:
    """How far views go from the chip, each drawn evenly from its range, or with its chance."""

    mirrored: float = 0.5
    """Chance of being mirrored left to right."""
    shift_px: float = 4.0
    """At most so many pixels of the crop, in x and in y."""
    scale: float = 0.06
    """At most so much larger or smaller, as a share."""
    stretch: float = 0.03
    """At most so much wider than high or the other way, as a share."""
    turn_degrees: float = 6.0
    """At most so far to either side."""
    light: float = 0.2
    """Brightness, contrast and saturation each change by at most this share."""
    blurred: float = 0.15
    """Chance of a Gaussian blur of 0.5 to 1.5 pixels."""
    shrunk: float = 0.2
    """Chance of having been 1.2 to 2.5 times smaller before."""
    compressed: float = 0.3
    """Chance of a JPEG of quality 40 to 90 between."""


def view(chip: Pixels, side_px: int, random: np.random.Generator, variation: Variation) -> Pixels:
    """One varied view of *chip*.

    Args:
        chip: (224, 224, 3) uint8, RGB.
        side_px: The model's input.
        random: Drawn from in a fixed order, whatever is drawn.
        variation: How far it goes.

    Returns:
        (side_px, side_px, 3) uint8, RGB.
    """
    picture = Image.fromarray(chip).transform(
        (side_px, side_px), Image.Transform.AFFINE, _placed(side_px, random, variation), Image.Resampling.BICUBIC
    )
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(1 + random.uniform(-variation.light, variation.light))
    blurred, shrunk, compressed = random.random(3) < (variation.blurred, variation.shrunk, variation.compressed)
    radius, factor, quality = random.uniform(0.5, 1.5), random.uniform(1.2, 2.5), int(random.integers(40, 91))
    if shrunk:
        small = max(8, round(side_px / factor))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR)
        picture = picture.resize((side_px, side_px), Image.Resampling.BICUBIC)
    if blurred:
        picture = picture.filter(ImageFilter.GaussianBlur(radius))
    if compressed:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        picture = Image.open(out)
    return np.array(picture)


def _placed(side_px: int, random: np.random.Generator, variation: Variation) -> tuple[float, ...]:
    """The map from pixels of the view to pixels of the chip, as Pillow wants it: a, b, c, d, e, f."""
    size = 1 + random.uniform(-variation.scale, variation.scale)
    stretch = 1 + random.uniform(-variation.stretch, variation.stretch)
    angle = np.deg2rad(random.uniform(-variation.turn_degrees, variation.turn_degrees))
    shift = random.uniform(-variation.shift_px, variation.shift_px, 2)
    mirror = -1.0 if random.random() < variation.mirrored else 1.0
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * size
    linear = linear @ np.diag([mirror * stretch, 1 / stretch])
    middle = chips.CHIP_PX / 2 + shift
    offset = middle - linear @ np.array([side_px / 2, side_px / 2])
    return (*linear[0], offset[0], *linear[1], offset[1])
