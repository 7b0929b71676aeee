"""Tags: a number that says of which faces a template was made, whatever their order."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.protocol import Ids


def tag(faces: Sequence[int]) -> int:
    """The tag of a set of faces; 0 of none. Two sets have the same one by chance once in 2^64."""
    return int(_mixed(np.asarray(faces, np.int64)).sum(dtype=np.uint64).astype(np.int64))


def tags(faces: Ids, starts: NDArray[np.int32]) -> NDArray[np.int64]:
    """The tags of many sets, none of them empty: each begins in *faces* at one of *starts*, whose last is the end."""
    if len(starts) < 2:
        return np.zeros(0, np.int64)
    sums: NDArray[np.uint64] = np.add.reduceat(_mixed(faces), starts[:-1])
    return sums.astype(np.int64)


def _mixed(faces: Ids) -> NDArray[np.uint64]:
    """Every face as 64 bits that look random (the finaliser of SplitMix64, Steele et al. 2014)."""
    bits = faces.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = bits ^ (bits >> np.uint64(31))
    return mixed
