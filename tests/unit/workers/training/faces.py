"""Faces to train on in tests: the bundle's reference chips, each a person, in views that stand for further photos."""

import numpy as np
from numpy.typing import NDArray

from workers.faces import chips
from workers.faces.values import Chip
from workers.models.bundle import Bundle
from workers.training.augmentation import Variation, view

STRONG = Variation(shift_px=10, scale=0.2, turn_degrees=25, light=0.6, blurred=0.5, shrunk=0.8, compressed=0.8)


def photos(bundle: Bundle, of_each: list[int]) -> tuple[list[Chip], NDArray[np.int64]]:
    """So many photos of each of the first people, and whose they are. No two are alike."""
    found, people = [], []
    for person, (chip, count) in enumerate(zip(bundle.chips(), of_each, strict=False)):
        pixels = chips.decode(chip.jpeg)
        for number in range(count):
            seen = view(pixels, chips.CHIP_PX, np.random.default_rng([person, number]), STRONG)
            found.append(Chip(chips.encode(seen), chip.map, chip.landmarks))
            people.append(person)
    return found, np.array(people, np.int64)
