"""Pillow's resampling in torch: bit for bit, whichever way round Pillow takes the two directions."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import torch as installed

torch = installed.required()

from workers.models import torch_resampling  # noqa: E402 - torch may be missing.
from workers.models.torch_resampling import Filter  # noqa: E402

PILLOW = {Filter.BOX: Image.Resampling.BOX, Filter.BILINEAR: Image.Resampling.BILINEAR}


@pytest.mark.parametrize("kind", list(Filter))
@pytest.mark.parametrize("size", [(97, 60), (60, 97), (40, 160)])
def test_pictures_of_several_sizes_are_reduced_as_pillow_does(kind: Filter, size: tuple[int, int]) -> None:
    """Each lies in a place that is larger than it is, beside others."""
    pictures = [_noise(*size, seed=1), _noise(100, 170, seed=2)]
    wanted = [(53, 31), (20, 77)]
    placed = torch.full((2, 3, 180, 110), 7.0)
    for place, picture in zip(placed, pictures, strict=True):
        place[:, : picture.height, : picture.width] = _tensor(picture)
    sizes = torch.tensor([picture.size for picture in pictures], dtype=torch.float64)

    found = torch_resampling.reduced(placed, sizes, torch.tensor(wanted, dtype=torch.float64), (80, 60), kind)

    for got, picture, (width, height) in zip(found, pictures, wanted, strict=True):
        expected = np.asarray(picture.resize((width, height), PILLOW[kind]))
        np.testing.assert_array_equal(got[:, :height, :width].permute(1, 2, 0).numpy(), expected)
        assert not got[:, height:].any()


@pytest.mark.parametrize(
    "box",
    [
        (10.3, 20.7, 60.1, 70.9),
        (20.0, 20.0, 44.0, 44.0),
        (30.2, 30.2, 45.9, 45.9),
        (-5.2, -3.1, 40.7, 42.9),
        (70.5, 100.5, 94.2, 124.2),
        (-30.0, -30.0, 130.0, 130.0),
    ],
)
def test_a_piece_is_what_pillow_cuts_and_black_outside(box: tuple[float, float, float, float]) -> None:
    """The last box holds the whole picture and more."""
    picture = _noise(90, 120, seed=3)
    sizes = torch.tensor([[90, 120]], dtype=torch.float64)
    regions = torch.tensor([box], dtype=torch.float64)

    found = torch_resampling.crops(_tensor(picture)[None], torch.tensor([0]), regions, sizes, 24)

    np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), _cut(picture, box))


def _cut(picture: Image.Image, box: tuple[float, float, float, float]) -> Any:
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > picture.width or bottom > picture.height:
        x, y = int(np.floor(left)), int(np.floor(top))
        picture = picture.crop((x, y, int(np.ceil(right)), int(np.ceil(bottom))))
        box = (left - x, top - y, right - x, bottom - y)
    return np.asarray(picture.resize((24, 24), Image.Resampling.BILINEAR, box))


def _noise(width: int, height: int, *, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _tensor(picture: Image.Image) -> Any:
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float()
