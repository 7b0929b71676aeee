"""MTCNN in torch over many photos at once: the detector of :mod:`workers.faces.mtcnn`, with its weights and its results.

Photos of about one size go together, each in the left upper corner of a place as large as the largest of them. A level of the
pyramid is one product with a matrix, P-Net sees all photos of a level at once, R-Net and O-Net all candidates of all photos;
suppression runs on the device, a photo a group. What lies beside a photo in its place is never seen as part of it, so a
photo's faces do not depend on its neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from workers.faces.batching import Batches, Each
from workers.faces.detect import Mode
from workers.faces.mtcnn import EFFORTS, GRID, O_NET_PX, P_NET_PX, R_NET_PX, Effort, Mtcnn, logit_of, reduced, shapes
from workers.faces.values import Box, Detection, Pixels
from workers.models.torch_device import room
from workers.models.torch_graph import Net
from workers.models.torch_overlap import best_of_overlapping, iou, share_of_smaller
from workers.models.torch_resampling import Filter, crops
from workers.models.torch_resampling import reduced as resized

PHOTOS_AT_ONCE = 64
"""Of 640 by 640 pixels they and their pyramid take half a gigabyte."""
_CROPS_AT_ONCE = 4096
_BUCKET_PX = 64
"""Sides are the same to within this in one bucket."""

_FILTERS = {Image.Resampling.BOX: Filter.BOX, Image.Resampling.BILINEAR: Filter.BILINEAR}


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The photos of one bucket at all levels; level 0 is the base."""

    pictures: list[torch.Tensor]
    """A level each: (n, 3, height, width) float32 of whole numbers, each photo in the left upper corner."""
    sizes: torch.Tensor
    """(levels, n, 2) float64: width and height of each photo, 0 where its pyramid has ended."""

    @property
    def shares(self) -> torch.Tensor:
        """(levels, n, 2) float64: how many pixels one pixel of the base is, sideways and down."""
        return self.sizes / self.sizes[:1]


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes of many photos, in pixels of their bases."""

    edges: torch.Tensor
    """(m, 4) float32."""
    which: torch.Tensor
    """(m,) int64: the photo of each."""

    def __getitem__(self, chosen: torch.Tensor) -> "Found":
        return Found(self.edges[chosen], self.which[chosen])

    @property
    def sides(self) -> torch.Tensor:
        """(m, 2) float32."""
        return self.edges[:, 2:] - self.edges[:, :2]

    def moved(self, offsets: torch.Tensor) -> torch.Tensor:
        """The edges, each moved by its offset (m, 4) in sides."""
        return self.edges + offsets * self.sides.repeat(1, 2)

    def squared(self, edges: torch.Tensor) -> "Found":
        """The squares about the centres of *edges* with their longer sides, on the grid."""
        centres = (edges[:, :2] + edges[:, 2:]) / 2
        half = (edges[:, 2:] - edges[:, :2]).amax(1, keepdim=True) / 2
        return Found((torch.cat([centres - half, centres + half], 1) * GRID + 0.5).floor() / GRID, self.which)


class TorchMtcnn:
    """A :class:`workers.faces.detect.ManyDetector`.

    Args:
        device: ``cpu`` or ``cuda``.
        each: Runs what is done photo by photo on the processor; ``map``, or that of a pool of threads.
    """

    rule = Mtcnn.rule

    def __init__(self, device: str, each: Each = map) -> None:
        self._device = torch.device(device)
        self._each = each
        self._p, self._r, self._o = (Net(name).to(self._device).eval() for name in ("pnet", "rnet", "onet"))
        self._batches = Batches(PHOTOS_AT_ONCE, "photos")

    @property
    def photos_at_once(self) -> int:
        """As many as fitted into the device's memory so far."""
        return self._batches.size

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:
        """See :class:`workers.faces.detect.Detector`."""
        return self.find_many([pixels], mode)[0]

    def find_many(self, photos: Sequence[Pixels], mode: Mode) -> list[list[Detection]]:
        """See :class:`workers.faces.detect.ManyDetector`."""
        effort = EFFORTS[mode]
        bases = list(self._each(lambda pixels: np.asarray(reduced(Image.fromarray(pixels), effort.cap_px)), photos))
        buckets: dict[tuple[int, int], list[int]] = {}
        for i, base in enumerate(bases):
            height, width = (-(-side // _BUCKET_PX) for side in base.shape[:2])
            buckets.setdefault((height, width), []).append(i)
        found: list[list[Detection]] = [[] for _ in photos]
        for members in buckets.values():
            for start, faces in self._batches.through(
                lambda batch: self._look(batch, effort), [bases[i] for i in members]
            ):
                for i, seen in zip(members[start:], faces, strict=False):
                    across, down = (photos[i].shape[axis] / bases[i].shape[axis] for axis in (1, 0))
                    found[i] = _detections(seen, np.array([across, down], np.float32))
        return found

    def _look(
        self, bases: Sequence[Pixels], effort: Effort
    ) -> "list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]":
        """The faces of photos of one bucket, in pixels of the bases: (k, 15) float32 each, as O-Net numbers its outputs."""
        exact = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
        with room(), torch.inference_mode(), exact:
            pyramid = self._pyramid(bases, effort)
            rows, which = self._refine(pyramid, self._sort_out(pyramid, self._propose(pyramid, effort), effort), effort)
            found, photo = rows.cpu().numpy(), which.cpu().numpy()
        return [found[photo == i] for i in range(len(bases))]

    def _pyramid(self, bases: Sequence[Pixels], effort: Effort) -> Pyramid:
        wanted = [[(base.shape[1], base.shape[0]), *shapes(base.shape[1], base.shape[0], effort)] for base in bases]
        depth = max(len(levels) for levels in wanted)
        held = np.zeros((depth, len(bases), 2))
        for i, levels in enumerate(wanted):
            held[: len(levels), i] = levels
        places = [tuple(int(side) + int(side) % 2 for side in level.max(0)[::-1]) for level in held]
        photos = np.zeros((len(bases), *places[0], 3), np.uint8)
        for photo, base in zip(photos, bases, strict=True):
            photo[: base.shape[0], : base.shape[1]] = base
        sizes = torch.from_numpy(held).to(self._device)
        pictures = [torch.from_numpy(photos).to(self._device).permute(0, 3, 1, 2).float().contiguous()]
        for level in range(1, depth):
            kind, shape = _FILTERS[effort.filter], (places[level][0], places[level][1])
            pictures.append(resized(pictures[-1], sizes[level - 1], sizes[level], shape, kind))
        return Pyramid(pictures, sizes)

    def _propose(self, pyramid: Pyramid, effort: Effort) -> Found:
        """Squares where P-Net sees a face."""
        depth = len(pyramid.pictures)
        nothing = torch.empty(0, device=self._device)
        parts = [(nothing.reshape(0, 4), nothing.reshape(0, 4), nothing, nothing.long(), nothing.long())]
        shares = pyramid.shares
        for level in range(1, depth):
            sizes = pyramid.sizes[level].long()
            found = self._p(pyramid.pictures[level], sizes)
            which, rows, columns = _peaks(found[:, 0], (sizes - 1) // 2 - 4, logit_of(effort.probabilities[0]))
            here = found[which, :, rows, columns]
            places = torch.stack([2 * columns, 2 * rows, 2 * columns + P_NET_PX, 2 * rows + P_NET_PX], 1)
            anchors = places.float() / shares[level, which].float().repeat(1, 2)
            parts.append((anchors, here[:, 1:], here[:, 0], which, which * depth + level))
        anchors, offsets, logits, which, group = (torch.cat(part) for part in zip(*parts, strict=True))
        kept, _ = best_of_overlapping(anchors, logits, group, iou, 0.5)
        anchors, offsets, logits, which = anchors[kept], offsets[kept], logits[kept], which[kept]
        kept, rank = best_of_overlapping(anchors, logits, which, iou, 0.7)
        kept = kept[rank < effort.proposals]
        proposed = Found(anchors[kept], which[kept])
        return proposed.squared(proposed.moved(offsets[kept]))

    def _sort_out(self, pyramid: Pyramid, squares: Found, effort: Effort) -> Found:
        """The squares that R-Net keeps, refined."""
        found = self._seen(self._r, pyramid, squares, R_NET_PX, 5)
        sure = found[:, 0] > logit_of(effort.probabilities[1])
        squares, found = squares[sure], found[sure]
        kept, _ = best_of_overlapping(squares.edges, found[:, 0], squares.which, iou, 0.7)
        squares, found = squares[kept], found[kept]
        return squares.squared(squares.moved(found[:, 1:5]))

    def _refine(self, pyramid: Pyramid, squares: Found, effort: Effort) -> tuple[torch.Tensor, torch.Tensor]:
        """What O-Net makes of the squares, by photo and best first: logit, edges, five x, five y; and whose they are."""
        found = self._seen(self._o, pyramid, squares, O_NET_PX, 15)
        sure = found[:, 0] > logit_of(effort.probabilities[2])
        squares, found = squares[sure], found[sure]
        edges = squares.moved(found[:, 1:5])
        corner, sides = squares.edges[:, :2], squares.sides
        across, down = (
            corner[:, axis, None] + found[:, 5 + 5 * axis :][:, :5] * sides[:, axis, None] for axis in (0, 1)
        )
        kept, _ = best_of_overlapping(edges, found[:, 0], squares.which, share_of_smaller, 0.7)
        return torch.cat([found[:, :1], edges, across, down], 1)[kept], squares.which[kept]

    def _seen(self, net: Net, pyramid: Pyramid, squares: Found, side_px: int, outputs: int) -> torch.Tensor:
        """What *net* says of each square, cut from the smallest level in which it has at least as many pixels; (m, outputs)."""
        found = torch.empty((len(squares.which), outputs), device=self._device)
        edges = squares.edges.double()
        shares = pyramid.shares[:, squares.which]
        enough = (edges[:, 2] - edges[:, 0]) * shares.amin(2) >= side_px
        steps = torch.arange(len(enough), device=self._device)[:, None]
        chosen = torch.where(enough, steps, 0).amax(0)
        for level, pictures in enumerate(pyramid.pictures):
            for members in torch.nonzero(chosen == level)[:, 0].split(_CROPS_AT_ONCE):
                if len(members):
                    which = squares.which[members]
                    regions = edges[members] * shares[level, members].repeat(1, 2)
                    found[members] = net(crops(pictures, which, regions, pyramid.sizes[level], side_px))
        return found


def _peaks(logits: torch.Tensor, ends: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which photo, which row and column: where (n, rows, columns) maps have a local maximum (of 3x3) of at least *least*.

    Args:
        logits: Of all photos of a level.
        ends: (n, 2) int64: columns and rows that are the photo's own.
        least: What counts.
    """
    columns = torch.arange(logits.shape[2], device=logits.device)
    rows = torch.arange(logits.shape[1], device=logits.device)
    own = (columns < ends[:, 0, None, None]) & (rows[:, None] < ends[:, 1, None, None])
    own_logits = logits.masked_fill(~own, -torch.inf)
    around = functional.max_pool2d(own_logits[:, None], 3, 1, 1)[:, 0]
    which, row, column = torch.nonzero((own_logits >= least) & (own_logits >= around), as_tuple=True)
    return which, row, column


def _detections(
    found: "np.ndarray[tuple[int, int], np.dtype[np.float32]]", scale: "np.ndarray[tuple[int], np.dtype[np.float32]]"
) -> list[Detection]:
    """Rows as :meth:`TorchMtcnn._look` gives them, in pixels of the photo, which is *scale* times the base."""
    detections = []
    for row in found:
        left, top, right, bottom = (row[1:5] * np.tile(scale, 2)).tolist()
        if right - left >= 1 and bottom - top >= 1:
            points = (np.stack([row[5:10], row[10:15]], 1) * scale).astype(np.float32)
            detections.append(
                Detection(Box(left, top, right - left, bottom - top), points, 1 / (1 + math.exp(-float(row[0]))))
            )
    return detections
