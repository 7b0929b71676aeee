"""Float16 numbers stay what they are when they are widened."""

import numpy as np

from index.halves import comparable, widened
from tests.unit.index.arrays import unit_vectors

EVERY = np.arange(2**16, dtype=np.uint16).view(np.float16).reshape(-1, 64)


def test_every_finite_number_is_the_same() -> None:
    finite = np.isfinite(EVERY)

    np.testing.assert_array_equal(widened(EVERY)[finite], EVERY.astype(np.float32)[finite])


def test_what_is_not_finite_is_never_comparable() -> None:
    vectors = unit_vectors(4).astype(np.float16)
    vectors[0, 3], vectors[1, 0], vectors[2] = np.nan, -np.inf, 0

    assert comparable(vectors).tolist() == [False, False, False, True]
