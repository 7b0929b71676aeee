"""Overlapping boxes, and which of them stay. Boxes are (n, 4) float32 edges: left, top, right, bottom, in pixels."""

import numpy as np
from numpy.typing import NDArray

Edges = NDArray[np.float32]
"""(n, 4) float32: left, top, right, bottom."""


def intersections(a: Edges, b: Edges) -> NDArray[np.float32]:
    """The area that each of *a* shares with each of *b*, (len(a), len(b)) float32."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    sides = np.maximum(high - low, 0)
    shared: NDArray[np.float32] = sides[..., 0] * sides[..., 1]
    return shared


def areas(edges: Edges) -> NDArray[np.float32]:
    """The area of each box, (n,) float32."""
    found: NDArray[np.float32] = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    return found


def iou(a: Edges, b: Edges) -> NDArray[np.float32]:
    """Intersection over union of each of *a* with each of *b*, in [0, 1]."""
    shared = intersections(a, b)
    whole: NDArray[np.float32] = areas(a)[:, None] + areas(b)[None] - shared
    return np.divide(shared, np.maximum(whole, 1e-12), dtype=np.float32)


def share_of_smaller(a: Edges, b: Edges) -> NDArray[np.float32]:
    """The share that each of *a* has in common with each of *b*, of the smaller one, in [0, 1]."""
    smaller = np.minimum(areas(a)[:, None], areas(b)[None])
    return np.divide(intersections(a, b), np.maximum(smaller, 1e-12), dtype=np.float32)


def best_of_overlapping(
    scores: NDArray[np.float32], overlap: NDArray[np.float32], threshold: float
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression on one matrix.

    Args:
        scores: (n,) float32.
        overlap: (n, n) float32, as :func:`iou` of the boxes with themselves.
        threshold: A box that overlaps a better one by more goes.

    Returns:
        The indices that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    clash = overlap[np.ix_(order, order)] > threshold
    gone = np.zeros(len(order), np.bool_)
    kept = []
    for i in range(len(order)):
        if not gone[i]:
            kept.append(i)
            gone |= clash[i]
    return order[kept]
