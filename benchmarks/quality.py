"""What the quality of a face predicts: how often mated pairs are missed, by the worse quality of the two.

    python -m benchmarks.quality [--json FILE] [--quick]

Mated pairs of ``lfw_dev`` are dealt into five equal parts by the lower of their two qualities, for the whole number and for
each of its parts; what is shown is the FNMR of each fifth at the threshold of FMR 1e-3 over all pairs. A number that says
nothing has five equal fifths.
"""

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets, machine
from benchmarks.machine import Row
from workers.evaluation import metrics
from workers.faces.detect import Mode
from workers.faces.pipeline import FacePipeline
from workers.faces.values import Pixels

_PARTS = ("value", "size", "sharpness", "pose", "exposure", "detector")
_FIFTHS = ("worst fifth", "2nd", "3rd", "4th", "best fifth")


def main() -> None:
    """Read the set once, with MTCNN and int8."""
    asked = machine.parser(__doc__).parse_args()
    described, _ = machine.describe(), machine.pin()
    everyone = datasets.lfw(photos_of=40 if asked.quick else None)
    embedder = chains.bundle().embedder("int8")
    pipeline = FacePipeline(chains.every_detector()["MTCNN"], embedder, max_pixels=chains.MAX_PIXELS)
    crops: list[Pixels] = []
    judged: list[list[float]] = []
    kept: list[int] = []
    for i, path in enumerate(everyone.photos):
        reading = pipeline.read(path.read_bytes(), Mode.BALANCED)
        if reading.detections:
            face = reading.face(chains.chosen(reading))
            crops.append(embedder.crop(face.chip))
            judged.append([getattr(face.quality, part) for part in _PARTS])
            kept.append(i)
    vectors, people = embedder.embed(crops), everyone.people[kept]
    qualities = np.array(judged)
    pairs = metrics.all_pairs(vectors, people)
    threshold = metrics.threshold_at(pairs.non_mated, 1e-3)
    rows: list[Row] = []
    for part, values in zip(_PARTS, qualities.T, strict=True):
        lower = metrics.split(np.minimum.outer(values, values).astype(np.float32), people).mated
        missed = pairs.mated < np.float32(threshold)
        rows += [Row(part, f"FNMR %, {_FIFTHS[fifth]}", share) for fifth, share in enumerate(_by_fifths(lower, missed))]
    machine.finish(rows, asked.json, machine=described, notes=[f"{len(pairs.mated)} mated pairs, MTCNN, int8"])


def _by_fifths(quality: NDArray[np.float32], missed: NDArray[np.bool_]) -> list[float]:
    """The percentage missed in each fifth of the pairs, from the lowest quality to the highest; ties fall by lot."""
    order = np.lexsort((np.random.default_rng(0).random(len(quality)), quality))
    return [100 * float(missed[fifth].mean()) for fifth in np.array_split(order, len(_FIFTHS))]


if __name__ == "__main__":
    main()
