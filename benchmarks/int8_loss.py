"""What 8 bits cost a model on faces of people whom its ranges were not measured on, and its thresholds.

    python -m benchmarks.int8_loss [--model FILE --name NAME] [--json FILE] [--quick]

The model is the default one, or FaceNet's state dict in FILE, made a bundle as ``colega models add`` makes it. Every photo of
``lfw_dev`` is embedded through stored chips with both variants. With ``--name vggface2`` what is measured is written to
``workers/models/published/vggface2.json``, which comes with that model from then on.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import chains, datasets, machine, thresholds
from benchmarks.machine import Row
from workers.evaluation import metrics
from workers.faces.embed import Crops
from workers.faces.values import Vectors
from workers.models import (
    activations,
    facenet_bundle,
    facenet_state,
    onnx_session,
    published,
    quantisation,
    safetensors,
    sources,
)
from workers.models.bundle import Bundle
from workers.models.facenet_graph import INPUT
from workers.models.sources import Brought

_RATES = (1e-3, 1e-4)
_SOME = 200


def main() -> None:
    """Embed the set twice."""
    parser = machine.parser(__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--name", choices=sorted(published.NAMES))
    asked = parser.parse_args()
    described, _ = machine.describe(), machine.pin()
    everyone = datasets.lfw(photos_of=40 if asked.quick else None)
    with tempfile.TemporaryDirectory() as folder:
        model = chains.bundle() if asked.model is None else _made(asked.model, Path(folder))
        fp32, int8 = model.embedder("fp32"), model.embedder("int8")
        crops = chains.stored_crops(chains.every_detector()["MTCNN"], fp32, everyone.photos)
        found = np.flatnonzero([crop is not None for crop in crops])
        seen = np.stack([crop for crop in crops if crop is not None])
        people = everyone.people[found]
        vectors = {"fp32": fp32.embed(seen), "int8": int8.embed(seen)}
    cosines = (vectors["fp32"] * vectors["int8"]).sum(1)
    rows = [
        Row(model.name, "cosine of int8 to fp32, least", float(cosines.min())),
        Row(model.name, "cosine of int8 to fp32, 1st percentile", float(np.quantile(cosines, 0.01))),
        Row(model.name, "cosine of int8 to fp32, mean", float(cosines.mean())),
    ]
    if asked.model is not None:
        rows += _without_correction(safetensors.read(asked.model), seen[:_SOME], vectors["fp32"][:_SOME])
    tmr: dict[float, dict[str, float]] = {rate: {} for rate in _RATES}
    for variant, of in vectors.items():
        pairs = metrics.all_pairs(of, people)
        for rate in _RATES:
            threshold = metrics.threshold_at(pairs.non_mated, rate)
            tmr[rate][variant] = metrics.share_accepted(pairs.mated, threshold)
            rows.append(Row(model.name, f"TMR % at FMR {rate:g}, {variant}", 100 * tmr[rate][variant]))
    sizes = [size for size in thresholds.SIZES if size <= len(set(people.tolist())) // 2]
    table, more = thresholds.measure(vectors["int8"], people, sizes)
    measured_on = f"lfw_dev, {len(found)} photos of {len(set(people.tolist()))} people, MTCNN, stored chips"
    if asked.name is not None and not asked.quick:
        least, mean = round(float(cosines.min()), 5), round(float(cosines.mean()), 5)
        low = round(float(np.quantile(cosines, 0.01)), 5)
        loss = {"least": least, "percentile_1": low, "mean": mean, "faces": len(found), "measured_on": measured_on}
        told = {
            "thresholds": {**table, "source": f"{measured_on}, int8; up to 5 photos a person, the mean template"},
            "int8": {
                "loss": loss,
                "tmr": {"fmr": 1e-3, **{k: round(v, 4) for k, v in tmr[1e-3].items()}, "measured_on": measured_on},
            },
        }
        path = Path(published.__file__).parent / "published" / f"{asked.name}.json"
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    machine.finish([*rows, *more], asked.json, machine=described, notes=[measured_on])


def _without_correction(state: Mapping[str, NDArray[np.float32]], crops: Crops, fp32: Vectors) -> list[Row]:
    """The cosines of int8 with the same ranges and biases as they are, and with corrected ones, on some faces."""
    network = facenet_state.network_of(state)
    reference = np.stack([facenet_bundle.CROP.cut(chip) for chip in chains.bundle().chips()])
    measured = activations.measured(network, facenet_bundle.mirrored(reference), "")
    rows = []
    for told, means in (("biases as they are", None), ("biases corrected", measured.means)):
        model = quantisation.quantise(network, measured.ranges, means=means).SerializeToString()
        session = onnx_session.session(model)
        found = np.concatenate([session.run(None, {INPUT: crops[i : i + 8]})[0] for i in range(0, len(crops), 8)])
        cosines = (found * fp32).sum(1)
        rows.append(Row(f"{len(crops)} faces, {told}", "cosine of int8 to fp32, least", float(cosines.min())))
        rows.append(Row(f"{len(crops)} faces, {told}", "cosine of int8 to fp32, mean", float(cosines.mean())))
    return rows


def _made(path: Path, folder: Path) -> Bundle:
    return sources.bundle_of(Brought(path, path.stem, path.name), folder / "bundle")


if __name__ == "__main__":
    main()
