"""Fit the correction of YuNet's boxes towards MTCNN's, on Georgia Tech and ``wider_sample`` together (no LFW).

    python -m benchmarks.yunet_correction [--write]

For each face that both detectors find (boxes with IoU of 0.5 or more), YuNet's shape and landmarks are put beside the shift
and growth that turn its box into MTCNN's; ridge regression makes of that 12x4 coefficients. ``--write`` replaces the file
that ships. It prints the mean IoU of the boxes before and after, on each set, with the other set's fit.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import datasets
from workers.faces import yunet
from workers.faces.detect import Mode
from workers.faces.overlap import Edges, iou
from workers.faces.yunet import Correction, Found, described
from workers.models import detectors

TARGET = Path(yunet.__file__).with_name("yunet_correction.json")
RIDGE = 1.0
LEAST_IOU = 0.5
_FARTHEST_SHIFT, _FARTHEST_GROWTH = 0.3, 0.4
_DIGITS = 6


def main() -> None:
    """Collect, fit, compare, and write where asked."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--write", action="store_true", help=f"replace {TARGET.name}")
    write = asked.parse_args().write
    sets = {
        "georgia_tech": pairs(sorted((datasets.DATA / "georgia_tech" / "cropped").rglob("*.jpg"))),
        "wider_sample": pairs(sorted((datasets.DATA / "wider_sample").rglob("*.jpg"))),
    }
    for name, (found, wanted) in sets.items():
        other = fit(*next(pair for key, pair in sets.items() if key != name))
        print(f"{name}: {len(wanted)} faces, mean IoU {_mean(found.edges, wanted):.4f} as they are, "
              f"{_mean(other.apply(found), wanted):.4f} corrected by the other set's fit")  # fmt: skip
    together = [
        np.concatenate([getattr(pair[0], part) for pair in sets.values()]) for part in ("edges", "points", "scores")
    ]
    correction = fit(Found(*together), np.concatenate([wanted for _, wanted in sets.values()]))
    document = {
        "source": "python -m benchmarks.yunet_correction --write",
        "mean": np.round(correction.mean, _DIGITS).tolist(),
        "coefficients": np.round(correction.coefficients, _DIGITS).tolist(),
    }
    if write:
        TARGET.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def pairs(photos: list[Path]) -> tuple[Found, Edges]:
    """Faces that both detectors find: as YuNet sees them, and MTCNN's edges of the same."""
    ours, theirs = detectors.yunet_file(datasets.YUNET), detectors.mtcnn()
    kept: list[tuple[NDArray[np.float32], NDArray[np.float32], np.float32, NDArray[np.float32]]] = []
    for photo in photos:
        pixels = np.asarray(Image.open(photo).convert("RGB"))
        found = ours.raw(pixels, yunet.EFFORTS[Mode.BALANCED])
        boxes = [d.box for d in theirs.find(pixels, Mode.BALANCED)]
        wanted = np.array([[b.x, b.y, b.x + b.w, b.y + b.h] for b in boxes], np.float32).reshape(-1, 4)
        overlap = iou(found.edges, wanted)
        while overlap.size and overlap.max() >= LEAST_IOU:
            i, j = np.unravel_index(int(overlap.argmax()), overlap.shape)
            kept.append((found.edges[i], found.points[i], found.scores[i], wanted[j]))
            overlap[i] = overlap[:, j] = -1
    edges, points, scores, wanted_edges = (np.stack(part) for part in zip(*kept, strict=True))
    return Found(edges, points, scores), wanted_edges


def fit(found: Found, wanted: Edges) -> Correction:
    """Ridge regression of shift (in sides) and growth (logarithm) on shape and landmarks."""
    features, centres, sides = described(found)
    target_sides = (wanted[:, 2:] - wanted[:, :2]).astype(np.float64)
    shift = ((wanted[:, :2] + wanted[:, 2:]) / 2 - centres) / sides
    targets = np.concatenate([shift, np.log(target_sides / sides)], 1)
    sane = (np.abs(targets[:, :2]) < _FARTHEST_SHIFT).all(1) & (np.abs(targets[:, 2:]) < _FARTHEST_GROWTH).all(1)
    features, targets = features[sane], targets[sane]
    mean = features.mean(0)
    mean[0] = 0  # The constant stays one.
    centred = features - mean
    penalty = RIDGE * np.diag([0.0, *[1.0] * (centred.shape[1] - 1)])
    return Correction(mean, np.linalg.solve(centred.T @ centred + penalty, centred.T @ targets))


def _mean(edges: Edges, wanted: Edges) -> float:
    return float(np.diagonal(iou(edges, wanted)).mean())


if __name__ == "__main__":
    main()
