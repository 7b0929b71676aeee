"""MTCNN on ONNX Runtime, written for speed.

Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016: P-Net proposes
boxes at every place of an image pyramid, R-Net sorts them out, O-Net refines what is left and finds five landmarks.

What is done differently from the usual implementation: the photo is reduced first and the smallest face is a share of
its long side; each level of the pyramid is made from the one before; only local maxima of P-Net's map are proposals;
suppression works on one matrix; the crops of R-Net and O-Net are taken from the level that is just fine enough, and
each net runs once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.faces.detect import Mode
from workers.faces.overlap import Edges, best_of_overlapping, iou, share_of_smaller
from workers.faces.values import Box, Detection, Pixels

Net = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Runs one of the three nets as ``workers.models.mtcnn_graph`` writes them: (n, height, width, 3) uint8 RGB in."""

P_NET_PX, R_NET_PX, O_NET_PX = 12, 24, 48

GRID = 16
"""Squares lie on multiples of 1/16 pixel of the base. What a net rounds otherwise on another processor or a GPU then does
not move the next net's crops: without it boxes differ by 0.04 pixels and vectors by 1e-4, with it by 1e-4 and 1e-6."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How one mode searches."""

    cap_px: int
    """Larger photos are reduced to this long side."""
    least_face: float
    """Side of the smallest face, as a share of the (reduced) long side."""
    least_face_px: float = 20.0
    factor: float = 0.709
    """From one level of the pyramid to the next; 0.709 is close to 1/sqrt(2): each has half the pixels."""
    probabilities: tuple[float, float, float] = (0.6, 0.7, 0.7)
    """From which each net's proposals count."""
    proposals: int = 256
    """At most so many go to R-Net."""
    filter: Image.Resampling = Image.Resampling.BOX
    """From level to level: averages over areas are quickest; the wider bilinear filter finds a few small faces more."""


EFFORTS = {
    Mode.BALANCED: Effort(cap_px=640, least_face=0.034, factor=0.65, probabilities=(0.85, 0.7, 0.7)),
    Mode.THOROUGH: Effort(
        cap_px=1024, least_face=0.02, probabilities=(0.6, 0.6, 0.7), filter=Image.Resampling.BILINEAR
    ),
    Mode.FRAME: Effort(cap_px=640, least_face=0.05, factor=0.65, probabilities=(0.85, 0.7, 0.7)),
}


@dataclass(frozen=True, slots=True)
class Level:
    """One picture of the pyramid, and how many of its pixels one pixel of the base is, sideways and down."""

    picture: Image.Image
    across: float
    down: float


class Mtcnn:
    """A :class:`workers.faces.detect.Detector`."""

    rule = "mtcnn-1"

    def __init__(self, p_net: Net, r_net: Net, o_net: Net) -> None:
        self._p, self._r, self._o = p_net, r_net, o_net

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:
        """See :class:`workers.faces.detect.Detector`."""
        effort = EFFORTS[mode]
        height, width = pixels.shape[:2]
        base = reduced(Image.fromarray(pixels), effort.cap_px)
        scale = np.array([width / base.width, height / base.height] * 2, np.float32)
        levels = [Level(base, 1.0, 1.0)]
        proposals = self._propose(levels, effort)
        boxes = self._sort_out(levels, proposals, effort)
        return self._refine(levels, boxes, effort, scale)

    def _propose(self, levels: list[Level], effort: Effort) -> Edges:
        """Squares where P-Net sees a face, in base pixels; the pyramid grows in *levels* on the way."""
        base = levels[0].picture
        found, scores = [], []
        picture = base
        for shape in shapes(base.width, base.height, effort):
            picture = picture.resize(shape, effort.filter)
            levels.append(Level(picture, shape[0] / base.width, shape[1] / base.height))
            boxes, logits = self._level(levels[-1], effort.probabilities[0])
            found.append(boxes)
            scores.append(logits)
        if not found:
            return np.empty((0, 4), np.float32)
        anchors, logits = np.concatenate(found), np.concatenate(scores)
        kept = best_of_overlapping(logits, iou(anchors[:, :4], anchors[:, :4]), 0.7)[: effort.proposals]
        return _squares(anchors[kept, 4:])

    def _level(self, level: Level, probability: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Anchors (n, 4) beside refined boxes (n, 4), in base pixels, and logits (n,) of one level."""
        found = self._p(np.asarray(level.picture)[None])[0]
        rows, columns = _peaks(found[0], logit_of(probability))
        scores, offsets = found[0, rows, columns], found[1:, rows, columns].T
        to_base = np.array([level.across, level.down] * 2, np.float32)
        places = np.stack([2 * columns, 2 * rows, 2 * columns + P_NET_PX, 2 * rows + P_NET_PX], 1)
        anchors = places.astype(np.float32) / to_base
        sides = anchors[:, 2:] - anchors[:, :2]
        boxes = np.concatenate([anchors, anchors + offsets * np.tile(sides, 2)], 1)
        kept = best_of_overlapping(scores, iou(anchors, anchors), 0.5)
        return boxes[kept], scores[kept]

    def _sort_out(self, levels: Sequence[Level], squares: Edges, effort: Effort) -> Edges:
        """The squares that R-Net keeps, refined."""
        if not len(squares):
            return squares
        found = self._r(_crops(levels, squares, R_NET_PX))
        sure = found[:, 0] > logit_of(effort.probabilities[1])
        squares, found = squares[sure], found[sure]
        kept = best_of_overlapping(found[:, 0], iou(squares, squares), 0.7)
        squares, found = squares[kept], found[kept]
        return _squares(squares + found[:, 1:5] * np.tile(squares[:, 2:] - squares[:, :2], 2))

    def _refine(
        self, levels: Sequence[Level], squares: Edges, effort: Effort, scale: NDArray[np.float32]
    ) -> list[Detection]:
        """What O-Net makes of the squares, in pixels of the photo, best first."""
        if not len(squares):
            return []
        found = self._o(_crops(levels, squares, O_NET_PX))
        sure = found[:, 0] > logit_of(effort.probabilities[2])
        squares, found = squares[sure], found[sure]
        sides = squares[:, 2:] - squares[:, :2]
        boxes = squares + found[:, 1:5] * np.tile(sides, 2)
        points = squares[:, None, :2] + np.stack([found[:, 5:10], found[:, 10:15]], 2) * sides[:, None]
        kept = best_of_overlapping(found[:, 0], share_of_smaller(boxes, boxes), 0.7)
        detections = []
        for edges, five, logit in zip(boxes[kept] * scale, points[kept] * scale[:2], found[kept, 0], strict=True):
            left, top, right, bottom = edges.tolist()
            if right - left >= 1 and bottom - top >= 1:
                box = Box(left, top, right - left, bottom - top)
                detections.append(Detection(box, five.astype(np.float32), 1 / (1 + math.exp(-float(logit)))))
        return detections


def reduced(picture: Image.Image, cap_px: int) -> Image.Image:
    """*picture* with a long side of at most *cap_px*: the base of the pyramid."""
    longest = max(picture.size)
    if longest <= cap_px:
        return picture
    size = (max(1, round(picture.width * cap_px / longest)), max(1, round(picture.height * cap_px / longest)))
    return picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def shapes(width: int, height: int, effort: Effort) -> list[tuple[int, int]]:
    """Width and height of each level of the pyramid over a base of *width* by *height*, the largest first.

    In the first the smallest face has P-Net's 12 pixels; the last is the last in which P-Net has one place.
    """
    size = P_NET_PX / max(effort.least_face_px, effort.least_face * max(width, height))
    found = []
    while min(width, height) * size >= P_NET_PX:
        found.append((math.ceil(width * size), math.ceil(height * size)))
        size *= effort.factor
    return found


def logit_of(probability: float) -> float:
    """What a net gives where it is sure to *probability*."""
    return math.log(probability / (1 - probability))


def _peaks(logits: NDArray[np.float32], least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns where a map has a local maximum (of 3x3) of at least *least*."""
    padded = np.pad(logits, 1, constant_values=-np.inf)
    across = np.maximum(np.maximum(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    around = np.maximum(np.maximum(across[:-2], across[1:-1]), across[2:])
    rows, columns = np.nonzero((logits >= least) & (logits >= around))
    return rows, columns


def _squares(edges: Edges) -> Edges:
    """Each box as the square about its centre with its longer side, on the grid."""
    centres = (edges[:, :2] + edges[:, 2:4]) / 2
    half = (edges[:, 2:4] - edges[:, :2]).max(1, keepdims=True) / 2
    grid = np.float32(GRID)
    squares: Edges = np.floor(np.concatenate([centres - half, centres + half], 1) * grid + np.float32(0.5)) / grid
    return squares


def _crops(levels: Sequence[Level], squares: Edges, side_px: int) -> Pixels:
    """Each square as (side_px, side_px, 3), from the smallest level in which it has at least as many pixels."""
    crops = np.empty((len(squares), side_px, side_px, 3), np.uint8)
    size = (side_px, side_px)
    for crop, square in zip(crops, squares.tolist(), strict=True):
        side = square[2] - square[0]
        level = next((lev for lev in reversed(levels) if side * min(lev.across, lev.down) >= side_px), levels[0])
        left, top, right, bottom = (
            square[0] * level.across,
            square[1] * level.down,
            square[2] * level.across,
            square[3] * level.down,
        )
        picture = level.picture
        if left < 0 or top < 0 or right > picture.width or bottom > picture.height:
            x, y = math.floor(left), math.floor(top)
            right, bottom = max(right, left + 1), max(bottom, top + 1)
            picture = picture.crop((x, y, math.ceil(right), math.ceil(bottom)))
            left, top, right, bottom = left - x, top - y, right - x, bottom - y
        crop[:] = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, (left, top, right, bottom)))
    return crops
