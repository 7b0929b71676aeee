"""Sets of faces made of numbers: people with directions of their own."""

import numpy as np

from workers.evaluation.pairing import Photos
from workers.faces import chips
from workers.faces.values import Chip, Vectors
from workers.galleries import ChipFile, Gallery


def vectors_of(people: int, photos: int, noise: float, *, seed: int = 11) -> Vectors:
    """(people * photos, 64) float32 of norm 1, person by person, each person's photos around one direction."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(people, 64))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    vectors = centres.repeat(photos, 0) + noise * random.normal(size=(people * photos, 64)) / 8
    made: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def photos_of(people: int, photos: int, faceless: tuple[int, ...] = ()) -> Photos:
    """Who is in the photos of :func:`vectors_of`, and in further ones without a face, of the people *faceless*."""
    whose = np.concatenate([np.arange(people).repeat(photos), np.array(faceless, np.int64)])
    return Photos(whose, people * photos, people)


def gallery_of(people: int, photos: int, faceless: tuple[int, ...] = ()) -> Gallery:
    """The same as a gallery of grey chips."""
    kept = ChipFile()
    grey = chips.encode(np.full((chips.CHIP_PX, chips.CHIP_PX, 3), 120, np.uint8))
    for _ in range(people * photos):
        kept.append(Chip(grey, np.array([[1.5, 0, 0], [0, 1.2, 0]]), np.zeros((5, 2), np.float32)))
    return Gallery(
        kept,
        np.arange(people).repeat(photos),
        [f"Person <{n}>" for n in range(people)],
        [f"Person <{n}>/{photo}.jpg" for n in range(people) for photo in range(photos)],
        [f"Person <{n}>/none{place}.jpg" for place, n in enumerate(faceless)],
        np.array(faceless, np.int64),
    )
