"""The one function of ``torchvision.transforms.functional`` that facenet-pytorch calls."""

import numpy as np
import torch
from torch import Tensor


def to_tensor(pic: "np.ndarray[tuple[int, int, int], np.dtype[np.uint8 | np.float32]]") -> Tensor:
    """(height, width, channels) as (channels, height, width); uint8 becomes float32 in [0, 1], floats stay as they are."""
    turned = torch.from_numpy(np.ascontiguousarray(pic.transpose(2, 0, 1)))
    return turned.float() / 255 if turned.dtype == torch.uint8 else turned
