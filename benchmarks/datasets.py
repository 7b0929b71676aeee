"""The photos that benchmarks run on, beside the repository in ``../shared/data``; nothing of them is committed."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from workers.evaluation.metrics import Labels

DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
YUNET = DATA.parent / "models" / "yunet_2026may.onnx"

MOST_A_PERSON = 15
"""Metrics are over the first photos by name, so that the few people with a hundred do not decide them."""

_JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Labelled:
    """Photos with the number of the person each shows, and the fold that person belongs to."""

    photos: Sequence[Path]
    people: Labels
    folds: NDArray[np.int64]

    def of_fold(self, fold: int) -> NDArray[np.bool_]:
        """Which photos show people of *fold*."""
        return np.equal(self.folds, fold)


def lfw(photos_of: int | None = None) -> Labelled:
    """``lfw_dev``, at most 15 photos a person, of all people or of the first *photos_of* that have two photos."""
    with (DATA / "lfw_dev" / "people.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["person"], int(row["lfw_fold"])) for row in csv.DictReader(file)]
    photos: list[Path] = []
    people: list[int] = []
    folds: list[int] = []
    taken = 0
    for number, (person, fold) in enumerate(sorted(rows)):
        mine = sorted((DATA / "lfw_dev" / person).glob("*.jpg"))[:MOST_A_PERSON]
        if photos_of is not None and (len(mine) < 2 or taken == photos_of):
            continue
        taken += 1
        photos += mine
        people += [number] * len(mine)
        folds += [fold] * len(mine)
    return Labelled(photos, np.array(people, np.int64), np.array(folds, np.int64))


def lfw_pairs(name: str = "pairs.csv") -> tuple[list[tuple[Path, Path]], NDArray[np.bool_]]:
    """The pairs of a list of ``lfw_dev``, and which show one person."""
    with (DATA / "lfw_dev" / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    home = DATA / "lfw_dev"
    pairs = [(home / row["path_a"], home / row["path_b"]) for row in rows]
    return pairs, np.array([row["same"] == "1" for row in rows])


def georgia_tech() -> list[Path]:
    """750 tight crops of 50 people, about 140 by 190 pixels."""
    return sorted((DATA / "georgia_tech" / "cropped").glob("s*/*.jpg"))


def calibration() -> list[Path]:
    """Photos of people who are in no set whose recognition is reported: what may be tuned on."""
    folders = ("wider_sample", "compreface_samples", "facenet_pytorch_samples")
    return [path for folder in folders for path in sorted((DATA / folder).rglob("*.jpg"))]


def speed_cases(scratch: Path, most: int) -> dict[str, list[Path]]:
    """The photos of the speed table by case, at most *most* of each; scaled ones are written to *scratch*.

    The larger sizes are made of the ten photos of ``compreface_samples`` and ``facenet_pytorch_samples`` that show one
    person, each scaled to the size and written as JPEG quality 92; 12 Mpixel is six of the former, 004_A as it is.
    """
    every = lfw().photos
    spread = [every[i] for i in np.linspace(0, len(every) - 1, most).astype(int)]
    crops = georgia_tech()
    portraits = sorted((DATA / "compreface_samples").glob("00[1-6]_A.jpg"))
    press = sorted((DATA / "facenet_pytorch_samples").glob("*/1.jpg"))
    one = [*portraits, *press][:most] if most < 10 else [*portraits, *press]
    return {
        "lfw_dev, 250x250": spread,
        "Georgia Tech, 140x190": [crops[i] for i in np.linspace(0, len(crops) - 1, most).astype(int)],
        "640x480": [_scaled(path, scratch, 640 * 480) for path in one],
        "1 Mpixel": [_scaled(path, scratch, 1_000_000) for path in one],
        "12 Mpixel": [p if p.stem == "004_A" else _scaled(p, scratch, 12_000_000) for p in portraits][
            : max(most // 4, 2)
        ],
        "five or more faces": _groups()[:most],
    }


def _groups() -> list[Path]:
    held = json.loads((DATA / "wider_sample" / "annotations.json").read_text("utf-8"))
    several = [DATA / "wider_sample" / photo["file"] for photo in held if len(photo["boxes"]) >= 5]
    return [DATA / "facenet_pytorch_samples" / "multiface.jpg", *several]


def _scaled(path: Path, scratch: Path, pixels: int) -> Path:
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    factor = np.sqrt(pixels / (upright.width * upright.height))
    size = round(upright.width * factor), round(upright.height * factor)
    out = io.BytesIO()
    upright.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=_JPEG_QUALITY)
    target = scratch / f"{path.parent.name}_{path.stem}_{pixels}.jpg"
    target.write_bytes(out.getvalue())
    return target
