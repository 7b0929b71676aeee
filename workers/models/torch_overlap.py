"""Overlapping boxes of many photos at once: the greedy suppression of :mod:`workers.faces.overlap`, on torch's device."""

from collections.abc import Callable

import torch

_ELEMENTS = 8_000_000
"""Of the matrices that are in memory at one time."""

Overlap = Callable[[torch.Tensor], torch.Tensor]
"""(g, m, 4) boxes to (g, m, m): how much each overlaps each of its group, in [0, 1]."""


def iou(edges: torch.Tensor) -> torch.Tensor:
    """Intersection over union of (g, m, 4) boxes within their group, (g, m, m)."""
    shared, areas = _shared(edges)
    whole = areas[:, :, None] + areas[:, None] - shared
    return shared / whole.clamp(min=1e-12)


def share_of_smaller(edges: torch.Tensor) -> torch.Tensor:
    """The share that two boxes have in common, of the smaller one, (g, m, m)."""
    shared, areas = _shared(edges)
    return shared / torch.minimum(areas[:, :, None], areas[:, None]).clamp(min=1e-12)


def best_of_overlapping(
    edges: torch.Tensor, scores: torch.Tensor, group: torch.Tensor, overlap: Overlap, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy non-maximum suppression within each group.

    What a group keeps does not depend on the others. Greedy suppression is the one set in which a box is gone exactly when a
    better one that stays overlaps it; it is found by putting the rule to use until nothing changes, which is as often
    as the longest chain of boxes that suppress each other.

    Args:
        edges: (m, 4) float32.
        scores: (m,) float32.
        group: (m,) int64, not negative.
        overlap: Of boxes of one group.
        threshold: A box that overlaps a better one by more goes.

    Returns:
        The indices that stay, by group and best first within it, (k,) int64; and their rank within their group, (k,) int64.
    """
    if not len(scores):
        return group, group
    order = torch.sort(scores, descending=True, stable=True).indices
    order = order[torch.sort(group[order], stable=True).indices]
    groups, counts = torch.unique_consecutive(group[order], return_counts=True)
    starts = counts.cumsum(0) - counts
    most = int(counts.max())
    kept = []
    at_once = max(1, _ELEMENTS // (most * most))
    for first in range(0, len(groups), at_once):
        size = counts[first : first + at_once]
        places = torch.arange(most, device=edges.device)[None]
        here = places < size[:, None]
        index = (starts[first : first + at_once, None] + places).clamp(max=len(order) - 1)
        kept.append(_stays(edges[order[index]], here, overlap, threshold)[here])
    stays = torch.cat(kept)
    chosen = order[stays]
    _, left = torch.unique_consecutive(group[chosen], return_counts=True)
    begins = torch.repeat_interleave(left.cumsum(0) - left, left)
    return chosen, torch.arange(len(chosen), device=edges.device) - begins


def _stays(edges: torch.Tensor, here: torch.Tensor, overlap: Overlap, threshold: float) -> torch.Tensor:
    """Which of (g, m) boxes, best first in each group, stay; *here* says which of the places hold a box."""
    clash = torch.triu(overlap(edges) > threshold, diagonal=1) & here[:, :, None] & here[:, None]
    stays = here
    while True:
        after = here & ~(clash & stays[:, :, None]).any(1)
        if torch.equal(after, stays):
            return stays
        stays = after


def _shared(edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The area that each box shares with each of its group, (g, m, m), and each box's own, (g, m)."""
    low = torch.maximum(edges[:, :, None, :2], edges[:, None, :, :2])
    high = torch.minimum(edges[:, :, None, 2:], edges[:, None, :, 2:])
    sides = (high - low).clamp(min=0)
    own = edges[..., 2:] - edges[..., :2]
    return sides[..., 0] * sides[..., 1], own[..., 0] * own[..., 1]
