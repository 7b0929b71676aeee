"""Measures the thresholds that a collection has until it is calibrated: ``workers/models/casia_webface.json``.

People of ``lfw_dev`` are enrolled at random, others of them are the strangers (``workers.evaluation.protocols.open_set``).
The table is for people with up to five photos: their templates draw strangers a little nearer than those of one photo,
so that the stated rate of false names is not exceeded with either.

    python -m benchmarks.thresholds [--json FILE] [--quick]
"""

import json
from pathlib import Path
from typing import Any

from benchmarks import chains, datasets, machine
from workers.evaluation import protocols
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors
from workers.models import casia_webface

_TABLE = Path(casia_webface.__file__).with_name("casia_webface.json")
SIZES, RATES = (10, 30, 100, 300, 420), (0.01, 0.05, 0.10)
_SEVERAL = 5
_PROBES = 100_000
"""Draws are repeated until about so many strangers' probes have been asked."""


def main() -> None:
    """Write the table, unless ``--quick``."""
    asked = machine.parser(__doc__).parse_args()
    model = chains.bundle()
    people = datasets.lfw(photos_of=60 if asked.quick else None)
    embedder = model.embedder("int8")
    crops = chains.stored_crops(chains.every_detector()["MTCNN"], embedder, people.photos)
    vectors = chains.vectors(embedder, crops)
    sizes = [size for size in SIZES if size <= len(set(people.people.tolist())) // 2]
    table, rows = measure(vectors, people.people, sizes)
    table["source"] = (
        f"lfw_dev, {len(people.photos)} photos of {len(set(people.people.tolist()))} people, MTCNN, int8, stored chips; "
        f"up to {_SEVERAL} photos a person enrolled, the mean template"
    )
    if not asked.quick:
        _TABLE.write_text(json.dumps(table, indent=1) + "\n", "utf-8")
    machine.finish(rows, asked.json, machine=machine.describe(), notes=[table["source"]])


def measure(vectors: Vectors, people: Labels, sizes: list[int]) -> tuple[dict[str, Any], list[machine.Row]]:
    """The table as it is shipped, and its rows with the figures for one photo a person beside them."""
    rows: list[machine.Row] = []
    fpir: dict[str, list[list[float]]] = {f"{rate:.2f}": [] for rate in RATES}
    for size in sizes:
        draws = max(40, _PROBES // 800)
        several = protocols.open_set(vectors, people, size, _SEVERAL, rates=RATES, draws=draws)
        single = protocols.open_set(vectors, people, size, 1, rates=RATES, draws=draws)
        for many, one in zip(several, single, strict=True):
            fpir[f"{many.fpir:.2f}"].append([size, round(many.threshold, 4), round(many.fnir, 4)])
            case = f"{size} people, FPIR {many.fpir:.0%}"
            rows += [
                machine.Row(case, "threshold, up to 5 photos a person", many.threshold),
                machine.Row(case, "FNIR, up to 5 photos a person", many.fnir),
                machine.Row(case, "threshold, 1 photo a person", one.threshold),
                machine.Row(case, "FNIR, 1 photo a person", one.fnir),
            ]
    verified = protocols.verification(vectors, people)
    fmr = {f"{rate:g}": round(threshold, 4) for rate, threshold in verified.threshold.items()}
    rows += [machine.Row(f"pairs, FMR {rate:g}", "threshold", level) for rate, level in verified.threshold.items()]
    return {"fpir": fpir, "fmr": fmr}, rows


if __name__ == "__main__":
    main()
