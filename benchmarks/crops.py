"""Which crop, which filter, which JPEG: the choices behind a chip, each measured alone over ``lfw_dev``.

    python -m benchmarks.crops [--json FILE] [--quick]

MTCNN's boxes, the int8 variant. Choices are read off fold 1 and confirmed on fold 2, whose people are others. The
difference to what is used (first row) is paired, with its 95% interval by a bootstrap over people.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from benchmarks import chains, datasets, machine
from benchmarks.datasets import Labelled
from benchmarks.machine import Row
from workers.evaluation import protocols
from workers.faces import chips, decode, detect
from workers.faces.detect import Mode
from workers.faces.values import Box, Decoded, Pixels, Vectors

_AS_USED = "as used: margin 32, cubic where enlarged, JPEG 95 4:4:4"
_FILTERS = ("BOX", "HAMMING", "BILINEAR", "LANCZOS")
_MARGINS = (0, 14, 22, 44)
_REDUCTIONS = (1.15, 1.3, 1.5, 2.0, 3.0)
"""The median face of the set has a box of 108 pixels (mean of its sides), so these are faces of 94 down to 36."""

Cut = Callable[[Pixels, Box], Pixels]
"""From a photo's pixels and the detector's box to the model's 160x160 crop."""


def main() -> None:
    """Embed the set once for every choice."""
    asked = machine.parser(__doc__).parse_args()
    described, _ = machine.describe(), machine.pin()
    everyone = datasets.lfw(photos_of=40 if asked.quick else None)
    seen = list(sightings(everyone))
    embedder = chains.bundle().embedder("int8")
    rows: list[Row] = []
    used: Vectors | None = None
    for name, cut in choices():
        vectors = chains.vectors(embedder, [cut(photo.pixels, box) for photo, box in seen])
        used = vectors if used is None else used
        rows += figures(name, vectors, used, everyone)
    machine.finish(rows, asked.json, machine=described, notes=["MTCNN, int8, at most 15 photos a person"])


def sightings(everyone: Labelled) -> Iterator[tuple[Decoded, Box]]:
    """Each photo decoded, with the box of the face it is labelled for; a photo without one counts as all face."""
    detector = chains.every_detector()["MTCNN"]
    for path in everyone.photos:
        photo = decode.decode(path.read_bytes(), max_pixels=chains.MAX_PIXELS, want_px=640)
        height, width = photo.pixels.shape[:2]
        found = detector.find(photo.pixels, Mode.BALANCED)
        box = found[detect.largest_central(found, width, height)].box if found else Box(0, 0, width, height)
        yield photo, box


def choices() -> Iterator[tuple[str, Cut]]:
    """What is used first, then one thing changed at a time."""
    yield _AS_USED, lambda pixels, box: _coded(_cut(pixels, box))
    yield "no JPEG", _cut
    for quality, subsampling, named in ((90, 0, "90 4:4:4"), (90, 2, "90 4:2:0"), (80, 2, "80 4:2:0")):
        yield f"JPEG {named}", lambda pixels, box, q=quality, s=subsampling: _coded(_cut(pixels, box), q, s)  # type: ignore[misc]
    yield "no chip: cut straight to 160x160", _straight
    for margin in _MARGINS:
        yield f"margin {margin}", lambda pixels, box, m=margin: _coded(_cut(pixels, box, m))  # type: ignore[misc]
    yield "square box, margin 32", lambda pixels, box: _coded(_cut(pixels, _square(box)))
    for factor in _REDUCTIONS:
        yield f"photo reduced {factor} times", lambda pixels, box, f=factor: _coded(_reduced(pixels, box, f))  # type: ignore[misc]
    for name in _FILTERS:
        yield f"filter {name}", lambda pixels, box, f=name: _coded(_filtered(pixels, box, Image.Resampling[f]))  # type: ignore[misc]


def figures(name: str, vectors: Vectors, used: Vectors, everyone: Labelled) -> list[Row]:
    """TMR at FMR 1e-3 on each fold and on all, what else tells pipelines apart, and the difference to what is used."""
    rows: list[Row] = []
    every = np.ones(len(everyone.photos), bool)
    for part, chosen in {"fold 1": everyone.of_fold(1), "fold 2": everyone.of_fold(2), "all": every}.items():
        if not chosen.any():
            continue
        verified = protocols.verification(vectors[chosen], everyone.people[chosen], (1e-3, 1e-4))
        rows.append(Row(name, f"TMR % at FMR 0.001, {part}", 100 * verified.tmr[1e-3]))
        if part == "all":
            lost = protocols.tmr_difference(used, vectors, everyone.people)
            rows += [
                Row(name, "TMR % at FMR 0.0001, all", 100 * verified.tmr[1e-4]),
                Row(name, "EER %, all", 100 * verified.eer),
                Row(name, "TMR difference to what is used, points", 100 * lost.value),
                Row(name, "its 95% interval begins", 100 * lost.low),
                Row(name, "its 95% interval ends", 100 * lost.high),
            ]
    return rows


def _cut(pixels: Pixels, box: Box, margin_px: float = chips.MARGIN_PX) -> Pixels:
    return chips.central(chips.resample(pixels, chips.window(box, margin_px), chips.CHIP_PX), chips.WINDOW_PX)


def _coded(crop: Pixels, quality: int = chips.JPEG_QUALITY, subsampling: int = 0) -> Pixels:
    """The window begins and ends at multiples of 16 in the chip, so its blocks are coded as they are within the chip."""
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(out) as picture:
        return np.asarray(picture)


def _straight(pixels: Pixels, box: Box) -> Pixels:
    region = chips.window(box)
    share = chips.WINDOW_PX / chips.CHIP_PX
    w, h = region.w * share, region.h * share
    inner = Box(region.x + (region.w - w) / 2, region.y + (region.h - h) / 2, w, h)
    return chips.resample(pixels, inner, chips.WINDOW_PX)


def _reduced(pixels: Pixels, box: Box, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    smaller = Image.fromarray(pixels).resize((round(width / factor), round(height / factor)), Image.Resampling.BILINEAR)
    x, y = smaller.width / width, smaller.height / height
    return _cut(np.asarray(smaller), Box(box.x * x, box.y * y, box.w * x, box.h * y))


def _square(box: Box) -> Box:
    side = max(box.w, box.h)
    return Box(box.x + (box.w - side) / 2, box.y + (box.h - side) / 2, side, side)


def _filtered(pixels: Pixels, box: Box, resampling: Image.Resampling) -> Pixels:
    """By another filter of Pillow's; no photo of this set has its face at the border, so nothing is filled."""
    region = chips.window(box)
    edges = (region.x, region.y, region.x + region.w, region.y + region.h)
    pad = 64
    padded = Image.fromarray(np.pad(pixels, ((pad, pad), (pad, pad), (0, 0))))
    place = (
        max(edges[0] + pad, 0.0),
        max(edges[1] + pad, 0.0),
        min(edges[2] + pad, float(padded.width)),
        min(edges[3] + pad, float(padded.height)),
    )
    side = chips.CHIP_PX
    return chips.central(np.asarray(padded.resize((side, side), resampling, place)), chips.WINDOW_PX)


if __name__ == "__main__":
    main()
