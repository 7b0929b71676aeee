"""YuNet on ONNX Runtime: a small detector whose cost depends neither on the number of faces nor on their size.

Wu, Peng, Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; the file is OpenCV's model zoo's
``face_detection_yunet_2026may.onnx``. Its boxes are nearly MTCNN's, for which FaceNet's crop was found; a linear
correction (``yunet_correction.json``, fitted by ``benchmarks.yunet_correction``) makes up for what is between them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.faces.detect import Mode
from workers.faces.overlap import Edges, best_of_overlapping, iou
from workers.faces.values import Box, Detection, Pixels

Net = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
"""Runs the network: (1, 3, height, width) float32 BGR, 0 to 255, sides multiples of 32; gives :data:`OUTPUTS`."""

OUTPUTS = [f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
_STRIDES = (8, 16, 32)
_MULTIPLE_PX = 32
_OVERLAP = 0.3
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Effort:
    """How one mode searches."""

    cap_px: int
    """Larger photos are reduced to this long side; the network knows faces of about 10 to 300 pixels."""
    score: float
    """OpenCV's default of 0.9 loses half of the faces."""


EFFORTS = {Mode.BALANCED: Effort(640, 0.7), Mode.THOROUGH: Effort(1024, 0.7), Mode.FRAME: Effort(640, 0.7)}


@dataclass(frozen=True, slots=True)
class Found:
    """Boxes with points and scores, in pixels of the photo, best first."""

    edges: Edges
    points: NDArray[np.float32]
    """(n, 5, 2) float32."""
    scores: NDArray[np.float32]


class YuNet:
    """A :class:`workers.faces.detect.Detector`.

    Args:
        run: The network.
        digest: SHA-256 of its file; part of the rule.
    """

    def __init__(self, run: Net, digest: str) -> None:
        self._run = run
        self._correction = Correction.shipped()
        self.rule = f"yunet-1-{digest[:12]}"

    def find(self, pixels: Pixels, mode: Mode) -> list[Detection]:
        """See :class:`workers.faces.detect.Detector`."""
        found = self.raw(pixels, EFFORTS[mode])
        corrected = self._correction.apply(found)
        detections = []
        for edges, points, score in zip(corrected.tolist(), found.points, found.scores.tolist(), strict=True):
            left, top, right, bottom = edges
            if right - left >= 1 and bottom - top >= 1:
                detections.append(Detection(Box(left, top, right - left, bottom - top), points, score))
        return detections

    def raw(self, pixels: Pixels, effort: Effort) -> Found:
        """The network's own boxes, in pixels of *pixels*."""
        picture = Image.fromarray(pixels)
        if max(picture.size) > effort.cap_px:
            share = effort.cap_px / max(picture.size)
            size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
            picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
        columns, rows = (-(-side // _MULTIPLE_PX) * _MULTIPLE_PX for side in picture.size)
        padded = np.zeros((1, 3, rows, columns), np.float32)
        padded[0, :, : picture.height, : picture.width] = np.asarray(picture)[:, :, ::-1].transpose(2, 0, 1)
        scale = np.array([pixels.shape[1] / picture.width, pixels.shape[0] / picture.height], np.float32)
        return _read(self._run(padded), columns, effort.score, scale)


@dataclass(frozen=True, slots=True)
class Correction:
    """From YuNet's boxes to where MTCNN's would be: a linear function of shape and landmarks."""

    mean: NDArray[np.float64]
    """(12,) float64: what the features are on average."""
    coefficients: NDArray[np.float64]
    """(12, 4) float64: shift of the centre in sides, and logarithm of the growth of the sides."""

    @classmethod
    def shipped(cls) -> "Correction":
        """The one that comes with colega."""
        text = resources.files("workers.faces").joinpath("yunet_correction.json").read_text("utf-8")
        held: Mapping[str, Any] = json.loads(text)
        return cls(np.array(held["mean"]), np.array(held["coefficients"]))

    def apply(self, found: Found) -> Edges:
        """Corrected edges, (n, 4) float32."""
        if not len(found.edges):
            return found.edges
        features, centres, sides = described(found)
        moved = (features - self.mean) @ self.coefficients
        centres = centres + moved[:, :2] * sides
        half = sides * np.exp(np.clip(moved[:, 2:], -0.5, 0.5)) / 2
        return np.concatenate([centres - half, centres + half], 1).astype(np.float32)


def described(found: Found) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Features (n, 12): 1, log(height / width), landmarks about the centre in sides; centres (n, 2); sides (n, 2)."""
    edges = found.edges.astype(np.float64)
    sides, centres = edges[:, 2:] - edges[:, :2], (edges[:, :2] + edges[:, 2:]) / 2
    relative = (found.points - centres[:, None]) / sides[:, None]
    shape = np.log(sides[:, 1:] / sides[:, :1])
    return np.concatenate([np.ones((len(edges), 1)), shape, relative.reshape(-1, 10)], 1), centres, sides


def _read(outputs: list[NDArray[np.float32]], columns_px: int, least: float, scale: NDArray[np.float32]) -> Found:
    edges, points, scores = [], [], []
    for level, stride in enumerate(_STRIDES):
        classes, objects, boxes, landmarks = (outputs[part * 3 + level][0] for part in range(4))
        squared = np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1)
        places = np.flatnonzero(squared >= least**2)
        columns = columns_px // stride
        cells = np.stack([places % columns, places // columns], 1).astype(np.float32)
        centres = (cells + boxes[places, :2]) * stride
        half = np.exp(boxes[places, 2:]) * (stride / 2)
        edges.append(np.concatenate([centres - half, centres + half], 1))
        points.append((landmarks[places].reshape(-1, 5, 2) + cells[:, None]) * stride)
        scores.append(np.sqrt(squared[places]))
    all_edges, all_points, all_scores = np.concatenate(edges), np.concatenate(points), np.concatenate(scores)
    if len(all_scores) > _MOST:
        best = np.argpartition(-all_scores, _MOST)[:_MOST]
        all_edges, all_points, all_scores = all_edges[best], all_points[best], all_scores[best]
    kept = best_of_overlapping(all_scores, iou(all_edges, all_edges), _OVERLAP)
    return Found(all_edges[kept] * np.tile(scale, 2), all_points[kept] * scale, all_scores[kept])
