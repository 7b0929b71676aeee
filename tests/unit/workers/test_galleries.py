"""Galleries: chips in a file, and what a model says of them."""

import numpy as np
import pytest

from workers.faces import chips
from workers.faces.values import Chip
from workers.galleries import ChipFile, Gallery, embedded
from workers.models.bundle import Bundle


def test_chips_are_read_as_they_were_written_at_any_place() -> None:
    """One at a time, from the end, and as a slice."""
    written = [_chip(shade) for shade in (10, 90, 200)]
    kept = ChipFile()
    for chip in written:
        kept.append(chip)

    assert len(kept) == 3
    assert [chip.jpeg for chip in kept] == [chip.jpeg for chip in written]
    assert kept[-1].jpeg == written[2].jpeg
    assert [chip.jpeg for chip in kept[1:]] == [chip.jpeg for chip in written[1:]]
    np.testing.assert_array_equal(kept[1].landmarks, written[1].landmarks)
    with pytest.raises(IndexError):
        kept[3]


@pytest.mark.slow
def test_vectors_come_in_the_order_of_the_chips_and_progress_is_told(bundle: Bundle) -> None:
    """More than are embedded at once, so that the seams show."""
    kept = ChipFile()
    shades = np.linspace(0, 255, 70).astype(int).tolist()
    for shade in shades:
        kept.append(_chip(shade))
    gallery = Gallery(kept, np.zeros(70, np.int64), ["Ana"], [str(shade) for shade in shades])
    embedder, told = bundle.embedder("int8"), []

    vectors = embedded(gallery, embedder, lambda done, total: told.append((done, total)))

    alone = embedder.embed([embedder.crop(kept[67])])
    assert vectors.shape == (70, 512)
    assert float((vectors[67:68] * alone).sum()) > 0.9999
    assert told == [(64, 70), (70, 70)]


def test_people_without_a_face_are_counted_as_none() -> None:
    """Their number is kept, so that names and numbers go together."""
    gallery = Gallery([], np.array([2, 2, 0]), ["Ana", "Bea", "Cleo"], ["a", "b", "c"])

    assert gallery.counts().tolist() == [1, 0, 2]


def _chip(shade: int) -> Chip:
    pixels = np.full((chips.CHIP_PX, chips.CHIP_PX, 3), shade, np.uint8)
    return Chip(chips.encode(pixels), np.eye(2, 3), np.full((5, 2), shade, np.float32))
