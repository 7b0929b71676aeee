"""Measures the ranges that the int8 variant is made with: ``workers/models/facenet_ranges.json``.

Every face of ``wider_sample``, ``compreface_samples`` and ``facenet_pytorch_samples`` that is large and certain enough is
run through the fp32 network, and for each tensor the range is kept that nine of ten faces stay within. The greatest value
of all faces would be steered by one odd face and cost resolution for all others (docs/evaluation.md, "int8").

    python -m benchmarks.int8_ranges [--json FILE] [--quick]
"""

import json
from pathlib import Path

import numpy as np

from benchmarks import chains, datasets, machine
from workers.faces.detect import Mode
from workers.faces.embed import Crops
from workers.faces.pipeline import FacePipeline
from workers.models import activations, casia_webface, quantisation
from workers.models.activations import SHARE

_TABLE = Path(quantisation.__file__).with_name("facenet_ranges.json")
_LEAST_SIDE_PX, _LEAST_SCORE = 48, 0.9


def main() -> None:
    """Write the table, unless ``--quick``."""
    asked = machine.parser(__doc__).parse_args()
    photos = datasets.calibration()[:: 10 if asked.quick else 1]
    crops = faces(photos)
    network = casia_webface.network()
    seen = activations.extremes(network, crops)
    lows, highs = np.quantile(seen.low, 1 - SHARE, axis=0), np.quantile(seen.high, SHARE, axis=0)
    source = (
        f"{len(crops)} faces of wider_sample, compreface_samples and facenet_pytorch_samples, at least {_LEAST_SIDE_PX} "
        f"pixels wide, MTCNN score at least {_LEAST_SCORE}; the range that {SHARE:.0%} of the faces stay within"
    )
    ranges = {name: [_short(a), _short(b)] for name, a, b in zip(seen.names, lows, highs, strict=True)}
    if not asked.quick:
        _TABLE.write_text(json.dumps({"source": source, "ranges": ranges}, indent=0) + "\n", "utf-8")
    rows = [machine.Row("calibration", "faces", len(crops)), machine.Row("calibration", "tensors", len(seen.names))]
    machine.finish(rows, asked.json, machine=machine.describe(), notes=[source])


def faces(photos: list[Path]) -> Crops:
    """The crops, through chips, of every face that is large and certain enough, (n, 160, 160, 3) uint8."""
    embedder = chains.bundle().embedder("fp32")
    pipeline = FacePipeline(chains.every_detector()["MTCNN"], embedder, max_pixels=chains.MAX_PIXELS)
    crops = []
    for photo in photos:
        reading = pipeline.read(photo.read_bytes(), Mode.BALANCED)
        for i, found in enumerate(reading.detections):
            if min(found.box.w, found.box.h) >= _LEAST_SIDE_PX and found.score >= _LEAST_SCORE:
                crops.append(embedder.crop(reading.face(i).chip))
    return np.stack(crops)


def _short(value: float) -> float:
    return float(f"{value:.5g}")


if __name__ == "__main__":
    main()
