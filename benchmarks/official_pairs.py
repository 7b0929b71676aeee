"""The official LFW pairs by fine-tuned models that have not seen their people.

``colega train --method triplet`` learns from the people of one official fold, on a CPU by its default recipe; the pairs of
the other fold are judged, and the other way round. No official pair crosses folds, so each photo is embedded by the model
that its person is a stranger to.

    python -m benchmarks.official_pairs [--json FILE] [--quick]
"""

import csv
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import chains, datasets, machine
from benchmarks.machine import Row
from workers import galleries, labelled, tuning
from workers.evaluation import figures, measuring
from workers.folder_bench import FolderBench
from workers.galleries import Gallery
from workers.models.bundle import Bundle

_LFW = datasets.DATA / "lfw_dev"
_KEPT = Path(__file__).parent / "results" / "folds"
_FOLDS = (1, 2)
_VARIANTS: tuple[Literal["fp32", "int8"], ...] = ("fp32", "int8")
_DRAWS, _TRIALS = 1_000, 1_000


def main() -> None:
    """Print what the untouched and the fine-tuned model make of the same pairs."""
    asked = machine.parser(__doc__).parse_args()
    fold_of = _folds()
    tuned = {fold: _trained(fold, fold_of, quick=asked.quick) for fold in _FOLDS}
    untouched = dict.fromkeys(_FOLDS, chains.bundle())
    detector = chains.every_detector()["MTCNN"]
    pairs = _LFW / "pairs_official.csv"
    gallery, listed = labelled.of_pairs(pairs, None, detector, max_pixels=chains.MAX_PIXELS)
    folds = np.array([fold_of[photo.partition("/")[0]] for photo in gallery.photos])
    faces = measuring.of_pairs(gallery, listed, draws=_DRAWS, seed=0)
    rows: list[Row] = []
    for name, models in {"casia-webface": untouched, "fine-tuned": tuned}.items():
        for variant in _VARIANTS:
            vectors = np.empty((len(gallery.chips), models[1].dimension), np.float32)
            for fold in _FOLDS:
                stranger_to = models[3 - fold]
                mine = np.flatnonzero(folds == fold)
                some = Gallery([gallery.chips[row] for row in mine.tolist()], gallery.people[mine], gallery.names, [])
                vectors[mine] = galleries.embedded(some, stranger_to.embedder(variant))
            said = figures.of(measuring.measured(faces, vectors, trials=_TRIALS), faces)
            rows += _rows(f"{name} {variant}", said["verification"])
    note = "Fine-tuned: the pairs of each fold are judged by the model that has learnt from the other fold's people."
    parts = {"LFW, official pairs": {"rows": [asdict(row) for row in rows]}}
    machine.finish(rows, asked.json, machine=machine.describe(), parts=parts, notes=[note])


def _folds() -> dict[str, int]:
    """The official fold of every person of ``lfw_dev``."""
    with (_LFW / "people.csv").open(encoding="utf-8", newline="") as file:
        return {row["person"]: int(row["lfw_fold"]) for row in csv.DictReader(file)}


def _trained(fold: int, fold_of: Mapping[str, int], *, quick: bool) -> Bundle:
    """The default recipe's model of the people of *fold*, as the command makes it; kept among the results."""
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        photos.mkdir()
        for person in (name for name, of in fold_of.items() if of == fold):
            (photos / person).symlink_to(_LFW / person)
        bench = FolderBench(
            _KEPT.parent, Path(scratch) / "work", _KEPT / str(fold), photos, chains.MAX_PIXELS, lambda _: None
        )
        bench.folder.mkdir()
        recipe = {"steps": 10} if quick else {}
        wanted = {"method": "triplet", "base": "casia-webface", "name": "tuned", "device": "cpu", "recipe": recipe}
        told = tuning.train(wanted, bench)
        for line in told["lines"]:
            print(f"fold {fold}: {line}", flush=True)
        return Bundle.open(Path(told["model"]))


def _rows(case: str, verification: Mapping[str, Any]) -> list[Row]:
    accuracy = verification["accuracy"]
    found = {
        f"accuracy %, {accuracy['folds']} folds": 100 * accuracy["mean"],
        "standard deviation of the folds": 100 * accuracy["std"],
        "EER %": 100 * verification["eer"],
        "TMR % at FMR 1e-2": 100 * verification["tmr_at_fmr"]["1e-2"],
        "AUC": verification["auc"],
    }
    return [Row(case, name, value) for name, value in found.items()]


if __name__ == "__main__":
    main()
