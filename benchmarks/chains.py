"""Our side of the comparison: a photo's bytes to the vector of its largest central face, through a stored chip."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks import datasets
from workers.faces import chips, decode, detect
from workers.faces.detect import Detector, Mode
from workers.faces.embed import Embedder
from workers.faces.pipeline import FacePipeline, Reading
from workers.faces.values import Box, Pixels, Vectors
from workers.models import casia_webface, detectors
from workers.models.bundle import Bundle

MAX_PIXELS = 50_000_000
Variant = Literal["int8", "fp32"]


@dataclass(frozen=True, slots=True)
class Chain:
    """One detector with one variant of the model."""

    name: str
    pipeline: FacePipeline

    def vector(self, data: bytes) -> Vectors | None:
        """(1, 512) float32 of the face that an import would take, or None where there is none."""
        reading = self.pipeline.read(data, Mode.BALANCED)
        if not reading.detections:
            return None
        return self.pipeline.embed([reading.face(chosen(reading)).chip])


def bundle() -> Bundle:
    """The default model, kept among the results."""
    return casia_webface.build(Path(__file__).parent / "results" / "casia-webface")


def every_detector() -> dict[str, Detector]:
    """MTCNN, and YuNet where its file is."""
    found: dict[str, Detector] = {"MTCNN": detectors.mtcnn()}
    if datasets.YUNET.is_file():
        found["YuNet"] = detectors.yunet_file(datasets.YUNET)
    return found


def chains(model: Bundle) -> list[Chain]:
    """Every detector with every variant; each chain has an embedder of its own."""
    variants: tuple[Variant, ...] = ("int8", "fp32")
    return [
        Chain(f"{name} {variant}", FacePipeline(detector, model.embedder(variant), max_pixels=MAX_PIXELS))
        for name, detector in every_detector().items()
        for variant in variants
    ]


def chosen(reading: Reading) -> int:
    """The face that a labelled photo shows: the largest central one."""
    return detect.largest_central(reading.detections, reading.width, reading.height)


def stored_crops(detector: Detector, embedder: Embedder, photos: Sequence[Path]) -> list[Pixels | None]:
    """What the model sees of each photo through a stored chip; None where no face is found."""
    pipeline = FacePipeline(detector, embedder, max_pixels=MAX_PIXELS)
    crops: list[Pixels | None] = []
    for photo in photos:
        reading = pipeline.read(photo.read_bytes(), Mode.BALANCED)
        found = bool(reading.detections)
        crops.append(embedder.crop(reading.face(chosen(reading)).chip) if found else None)
    return crops


def direct_crops(detector: Detector, photos: Sequence[Path]) -> list[Pixels | None]:
    """The same window cut straight to the model's size, without a chip or a JPEG between: the reference of the loss."""
    crops: list[Pixels | None] = []
    share = chips.WINDOW_PX / chips.CHIP_PX
    for photo in photos:
        decoded = decode.decode(photo.read_bytes(), max_pixels=MAX_PIXELS, want_px=640)
        seen = detect.look(detector, decoded, Mode.BALANCED)
        if not seen.detections:
            crops.append(None)
            continue
        height, width = seen.turned.pixels.shape[:2]
        found = seen.detections[detect.largest_central(seen.detections, width, height)]
        region = chips.window(found.box)
        w, h = region.w * share, region.h * share
        inner = Box(region.x + (region.w - w) / 2, region.y + (region.h - h) / 2, w, h)
        crops.append(chips.resample(seen.turned.pixels, inner, chips.WINDOW_PX))
    return crops


def vectors(embedder: Embedder, crops: Sequence[Pixels | None]) -> Vectors:
    """(n, 512); zeros, which resemble nothing, where there is no crop."""
    there = [i for i, crop in enumerate(crops) if crop is not None]
    result = np.zeros((len(crops), embedder.dimension), np.float32)
    result[there] = embedder.embed([crop for crop in crops if crop is not None])
    return result
