"""Vectors as they travel through the broker: base64 of little-endian float32."""

import base64
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


def vectors_of(encoded: Sequence[str], dimension: int) -> Vectors:
    """Vectors from base64 of little-endian float32, as (n, dimension) float32."""
    raw = b"".join(base64.b64decode(vector) for vector in encoded)
    return np.frombuffer(raw, "<f4").reshape(len(encoded), -1 if encoded else dimension).astype(np.float32)


def encoded(vector: Vectors) -> str:
    """One vector, (d,) float32, as :func:`vectors_of` reads it."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
