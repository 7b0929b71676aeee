"""Crops into vectors."""

import numpy as np
import pytest

from services.errors import InvalidModel
from workers.faces.crops import StretchedBox
from workers.faces.embed import BATCH, Crops, Embedder
from workers.faces.values import Vectors


@pytest.mark.parametrize("count", [0, 1, BATCH, 2 * BATCH + 3])
def test_every_crop_gets_its_vector_in_order(count: int) -> None:
    """Whatever the batches are."""
    crops = np.zeros((count, 4, 4, 3), np.uint8)
    crops[:, 0, 0, 0] = np.arange(count)

    vectors = _embedder(_first_pixel).embed(crops)

    assert vectors.shape == (count, 2)
    np.testing.assert_array_equal(vectors[:, 0], np.arange(count))


def test_the_network_never_sees_more_than_a_batch() -> None:
    """Its memory is bounded, however many faces a photo has."""
    sizes: list[int] = []

    def network(crops: Crops) -> Vectors:
        sizes.append(len(crops))
        return _first_pixel(crops)

    _embedder(network).embed(np.zeros((3 * BATCH + 1, 4, 4, 3), np.uint8))

    assert sizes == [BATCH, BATCH, BATCH, 1]


def test_a_vector_that_is_not_finite_is_refused() -> None:
    """It would be near to nothing and to everything."""

    def network(crops: Crops) -> Vectors:
        return np.full((len(crops), 2), np.nan, np.float32)

    with pytest.raises(InvalidModel):
        _embedder(network).embed(np.zeros((1, 4, 4, 3), np.uint8))


def _first_pixel(crops: Crops) -> Vectors:
    return np.stack([crops[:, 0, 0, 0], crops[:, 0, 0, 1]], 1).astype(np.float32)


def _embedder(network: object) -> Embedder:
    return Embedder(network, digest="d", variant="fp32", dimension=2, crop=StretchedBox(4, 4), agreement=1.0)  # type: ignore[arg-type]
