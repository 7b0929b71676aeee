"""Pillow's resampling in torch, for many pictures and many boxes at once: the same weights, the same rounding.

As in Pillow's ``Resample.c`` a picture is resampled along its rows, rounded to 8 bits, then along its columns (or the other
way round), by weights that are whole numbers of 22 bits. Products of matrices are in float32, which is exact up to 24 bits:
upper and lower half of the weights are multiplied apart, and put together as integers. So results are Pillow's bit for bit.
"""

from enum import StrEnum

import PIL
import torch

_BITS = 22
_HALF_BITS = 11
_PILLOW_CHOOSES = int(PIL.__version__.partition(".")[0]) >= 13


class Filter(StrEnum):
    """Of Pillow's filters those that the detector uses, by what is under their curve at most."""

    BOX = "box"
    """Averages over areas; support of half a pixel on each side."""
    BILINEAR = "bilinear"
    """A triangle; support of one pixel on each side."""


def weights(
    start: torch.Tensor,
    extent: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    outputs: torch.Tensor,
    *,
    most: int,
    inputs: int,
    offset: torch.Tensor,
    kind: Filter,
) -> torch.Tensor:
    """How much each input pixel gives to each output pixel, along one axis, of each of n pictures.

    Args:
        start: (n,) float64, where the region begins, in pixels of the input.
        extent: (n,) float64, how long it is.
        low: (n,) float64, the first input pixel that may be used.
        high: (n,) float64, behind the last.
        outputs: (n,) float64, pixels that the region becomes; those beyond get nothing.
        most: Rows of the result: as many as the largest of *outputs*.
        inputs: Columns of the result.
        offset: (n,) float64, which input pixel the first column is.
        kind: The filter.

    Returns:
        (n, most, inputs) float32 of whole numbers; a row sums to about 2^22, or is 0.
    """
    scale = (extent / outputs)[:, None, None]
    stretch = scale.clamp(min=1)
    support = stretch * (0.5 if kind is Filter.BOX else 1.0)
    at = torch.arange(most, dtype=torch.float64, device=start.device)
    centre = start[:, None, None] + (at[None, :, None] + 0.5) * scale
    first = torch.maximum((centre - support + 0.5).floor(), low[:, None, None])
    last = torch.minimum((centre + support + 0.5).floor(), high[:, None, None])
    pixel = torch.arange(inputs, dtype=torch.float64, device=start.device)[None, None] + offset[:, None, None]
    away = (pixel - centre + 0.5) * (1 / stretch)
    curve = ((away > -0.5) & (away <= 0.5)).double() if kind is Filter.BOX else (1 - away.abs()).clamp(min=0)
    used = (pixel >= first) & (pixel < last) & (at[None, :, None] < outputs[:, None, None])
    curve = curve * used
    total = curve.sum(2, keepdim=True)
    shares = curve * (1 / torch.where(total > 0, total, torch.ones_like(total)))
    return (shares * 2**_BITS + 0.5).floor().float()


def resampled(
    pictures: torch.Tensor, across: torch.Tensor, down: torch.Tensor, columns_first: torch.Tensor
) -> torch.Tensor:
    """*pictures* by their weights, along rows and columns, rounded after each.

    Args:
        pictures: (n, 3, height, width) float32 of whole numbers in 0..255.
        across: (n, columns, width) float32.
        down: (n, rows, height) float32.
        columns_first: (n,) bool, as :func:`_columns_first` gives it.

    Returns:
        (n, 3, rows, columns) float32 of whole numbers in 0..255.
    """
    found = pictures.new_empty((len(pictures), 3, down.shape[1], across.shape[1]))
    for here, first in ((torch.nonzero(~columns_first)[:, 0], False), (torch.nonzero(columns_first)[:, 0], True)):
        if not len(here):
            continue
        taken = slice(None) if len(here) == len(pictures) else here
        if first:
            found[taken] = _along_rows(_along_columns(pictures[taken], down[taken]), across[taken])
        else:
            found[taken] = _along_columns(_along_rows(pictures[taken], across[taken]), down[taken])
    return found


def _along_rows(pictures: torch.Tensor, weighing: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) by (n, columns, w) to (n, 3, h, columns)."""
    high, low = _halves(weighing.transpose(1, 2))
    rows = pictures.flatten(1, 2)
    found = _shifted(torch.bmm(rows, high), torch.bmm(rows, low))
    return found.reshape(*pictures.shape[:3], -1)


def _along_columns(pictures: torch.Tensor, weighing: torch.Tensor) -> torch.Tensor:
    """(n, 3, h, w) by (n, rows, h) to (n, 3, rows, w)."""
    high, low = _halves(weighing[:, None])
    return _shifted(torch.matmul(high, pictures), torch.matmul(low, pictures))


def _halves(weighing: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    high = (weighing / 2**_HALF_BITS).floor()
    return high, weighing - high * 2**_HALF_BITS


def _shifted(high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
    """Both sums put together, rounded as Pillow rounds, in 0..255."""
    whole = high.int() * 2**_HALF_BITS + low.int() + 2 ** (_BITS - 1)
    return (whole >> _BITS).float()


def _columns_first(sizes: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """(n,) bool: whether Pillow resamples columns before rows. Since 13.0 it does where that spares it much work.

    Args:
        sizes: (n, 2) float64, width and height of the whole pictures.
        wanted: (n, 2) float64, what they or a region of them become.
    """
    less = sizes - wanted
    return (less[:, 1] > 0) & (less[:, 1] > 2 * less[:, 0]) & _PILLOW_CHOOSES


def reduced(
    pictures: torch.Tensor, sizes: torch.Tensor, wanted: torch.Tensor, shape: tuple[int, int], kind: Filter
) -> torch.Tensor:
    """Whole *pictures* at other sizes.

    Args:
        pictures: (n, 3, height, width) float32, each in the left upper corner of its place.
        sizes: (n, 2) float64, width and height of each.
        wanted: (n, 2) float64, width and height that each is to have.
        shape: Height and width of the result's places.
        kind: The filter.

    Returns:
        (n, 3, *shape) float32, each in the left upper corner of its place, 0 beside it.
    """
    nothing = torch.zeros_like(sizes[:, 0])
    axes = [
        weights(
            nothing,
            sizes[:, axis],
            nothing,
            sizes[:, axis],
            wanted[:, axis],
            most=shape[1 - axis],
            inputs=int(pictures.shape[3 - axis]),
            offset=nothing,
            kind=kind,
        )
        for axis in (0, 1)
    ]
    return resampled(pictures, axes[0], axes[1], _columns_first(sizes, wanted))


def crops(
    pictures: torch.Tensor, which: torch.Tensor, regions: torch.Tensor, sizes: torch.Tensor, side_px: int
) -> torch.Tensor:
    """Square pieces of *pictures*, bilinear, black where a region leaves its picture.

    As ``Image.resize(…, BILINEAR, box)`` of a picture that holds the region, and of one cropped to it where it does not.

    Args:
        pictures: (n, 3, height, width) float32 of whole numbers, each in the left upper corner of its place.
        which: (m,) int64, the picture of each region.
        regions: (m, 4) float64, left, top, right, bottom in pixels of the picture.
        sizes: (n, 2) float64, width and height of each picture.
        side_px: Of the pieces.

    Returns:
        (m, 3, side_px, side_px) float32 of whole numbers in 0..255.
    """
    size = sizes[which]
    leaves = (regions[:, :2] < 0).any(1) | (regions[:, 2:] > size).any(1)
    whole_low, whole_high = regions[:, :2].floor(), regions[:, 2:].ceil()
    low = torch.where(leaves[:, None], whole_low, torch.zeros_like(whole_low))
    high = torch.where(leaves[:, None], whole_high, size)
    # Pillow takes boxes as float32, relative to what they are taken from.
    begin, end = (regions[:, :2] - low).float(), (regions[:, 2:] - low).float()
    start, extent = begin.double() + low, (end - begin).double()
    outputs = torch.full_like(start[:, 0], side_px)
    support = (extent / side_px).clamp(min=1)
    first = torch.maximum((start - support).floor(), low)
    taken = int((torch.minimum((start + extent + support).ceil(), high) - first).amax().item()) + 1
    axes = [
        weights(
            start[:, axis],
            extent[:, axis],
            low[:, axis],
            high[:, axis],
            outputs,
            most=side_px,
            inputs=taken,
            offset=first[:, axis],
            kind=Filter.BILINEAR,
        )
        for axis in (0, 1)
    ]
    columns_first = _columns_first(high - low, torch.full_like(size, side_px))
    return resampled(_patches(pictures, which, first.long(), size.long(), taken), axes[0], axes[1], columns_first)


def _patches(
    pictures: torch.Tensor, which: torch.Tensor, first: torch.Tensor, size: torch.Tensor, side: int
) -> torch.Tensor:
    """(m, 3, side, side) of each picture from *first* (column, row) on, 0 outside of it."""
    steps = torch.arange(side, device=pictures.device)
    columns, rows = first[:, :1] + steps, first[:, 1:] + steps
    inside_x = (columns >= 0) & (columns < size[:, :1])
    inside_y = (rows >= 0) & (rows < size[:, 1:])
    columns, rows = columns.clamp(0, pictures.shape[3] - 1), rows.clamp(0, pictures.shape[2] - 1)
    channels = torch.arange(3, device=pictures.device)
    found = pictures[
        which[:, None, None, None], channels[None, :, None, None], rows[:, None, :, None], columns[:, None, None]
    ]
    return found * (inside_y[:, None, :, None] & inside_x[:, None, None])
