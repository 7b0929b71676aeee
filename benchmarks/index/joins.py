"""Joining: all pairs of faces above a threshold, beside the plain matrix product, on one core."""

import os

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.galleries import gallery
from benchmarks.index.timing import spent
from benchmarks.machine import Row
from index.pairs import Pairs, pairs_above
from index.protocol import Half

THRESHOLDS = (0.75, 0.6)
_MOST = 20_000_000
_BLOCK = 2048


def told(asked: Asked) -> Told:
    """The small gallery; the product is compared at the first threshold."""
    held = gallery(asked.folder, asked.sizes[0])
    vectors = np.array(held.vectors)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found: list[Pairs] = []
    plain: list[int] = []
    product = spent(lambda: plain.append(_product(vectors, THRESHOLDS[0])))
    rows = []
    for threshold in THRESHOLDS:
        took = spent(lambda threshold=threshold: found.append(pairs_above(vectors, threshold, most=_MOST)))  # type: ignore[misc]
        case = f"{faces(len(held))}, all pairs from {threshold:g}"
        peer = "matrix product"
        rows += [
            Row(case, "CPU s", took.cpu_s, peer, product.cpu_s, product.cpu_s / took.cpu_s),
            Row(case, "wall s", took.wall_s, peer, product.wall_s, product.wall_s / took.wall_s),
        ]
        is_first = threshold == THRESHOLDS[0]
        rows.append(Row(case, "pairs", len(found[-1]), *((peer, plain[0], None) if is_first else ())))
    return Told(rows, ["one thread; the product is float32 by blocks of the upper triangle"])


def _product(vectors: Half, threshold: float) -> int:
    """How many pairs there are, the plain way."""
    wide = vectors.astype(np.float32)
    count = 0
    for first in range(0, len(wide), _BLOCK):
        block = wide[first : first + _BLOCK]
        for second in range(first, len(wide), _BLOCK):
            near = block @ wide[second : second + _BLOCK].T >= threshold
            count += int(np.triu(near, 1).sum()) if second == first else int(near.sum())
    return count
