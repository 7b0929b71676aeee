"""The one function of ``torchvision.ops.boxes`` that facenet-pytorch calls."""

import torch
from torch import Tensor


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that stay, best score first: of two of one group that overlap by more, the better one.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        scores: (n,).
        idxs: (n,) the group of each box; boxes of two groups do not touch each other.
        iou_threshold: In [0, 1].
    """
    order = scores.sort(descending=True, stable=True).indices
    boxes, groups = boxes[order].double(), idxs[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    stays = torch.ones(len(boxes), dtype=torch.bool, device=boxes.device)
    for i in range(len(boxes)):
        if stays[i]:
            rest = boxes[i + 1 :]
            sides = torch.minimum(rest[:, 2:], boxes[i, 2:]) - torch.maximum(rest[:, :2], boxes[i, :2])
            shared = sides.clamp(min=0).prod(dim=1)
            overlap = shared / (areas[i + 1 :] + areas[i] - shared)
            stays[i + 1 :] &= ~((overlap > iou_threshold) & (groups[i + 1 :] == groups[i]))
    return order[stays]
