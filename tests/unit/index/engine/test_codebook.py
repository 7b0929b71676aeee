"""Codes are those of the nearest points."""

import numpy as np
import pytest

from index.engine.codebook import GROUP, encode, quantizer
from tests.unit.index.arrays import unit_vectors


@pytest.mark.parametrize("dimension", [16, 128, 512])
@pytest.mark.parametrize("count", [0, 1, 63, 300])
def test_the_codes_are_those_of_an_exhaustive_comparison(dimension: int, count: int) -> None:
    vectors = unit_vectors(count, dimension=dimension)

    codes = encode(vectors)

    book = quantizer(dimension)
    shape = (dimension // GROUP, 16, GROUP)
    points = np.array([book.centroids.at(n) for n in range(int(np.prod(shape)))], np.float32).reshape(shape)
    chosen = np.stack([codes & 15, codes >> 4], 2).reshape(count, dimension // GROUP)
    for vector, mine in zip(vectors.reshape(count, dimension // GROUP, GROUP), chosen, strict=True):
        distances = ((vector[:, None] - points) ** 2).sum(2)
        np.testing.assert_allclose(distances[np.arange(len(mine)), mine], distances.min(1), atol=1e-7)
