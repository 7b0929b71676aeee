"""Measures models side by side, as ``colega evaluate`` does: the official LFW pairs, all of ``lfw_dev``, Georgia Tech.

casia-webface, vggface2 (where its weights lie beside the repository) and every bundle named, both variants of each.

    python -m benchmarks.evaluation [--model NAME=FOLDER ...] [--json FILE] [--quick]
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks import chains, datasets, machine
from benchmarks.machine import Row
from workers import galleries, labelled
from workers.evaluation import figures, measuring
from workers.evaluation.measuring import Faces
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors
from workers.galleries import Gallery
from workers.models import sources
from workers.models.bundle import Bundle
from workers.models.sources import Brought

_VGGFACE2 = datasets.DATA.parent / "models" / "vggface2.safetensors"
_LICENCE = "GPL-3.0 by its carrier, MIT by its publishers; the training photos' terms are unknown"
_LFW = datasets.DATA / "lfw_dev"
_TECH = datasets.DATA / "georgia_tech" / "cropped"
_QUICK_PEOPLE = 40


@dataclass(frozen=True, slots=True)
class Set:
    """What is measured, and which rows of what was embedded it is."""

    name: str
    gallery: Gallery
    """What is embedded."""
    faces: Faces
    rows: Labels


def main() -> None:
    """Print a table for every set."""
    parser = machine.parser(__doc__)
    parser.add_argument(
        "--model", action="append", default=[], type=_named, metavar="NAME=FOLDER", help="also this one"
    )
    asked = parser.parse_args()
    draws, trials = (100, 1_000) if asked.quick else (1_000, 20_000)
    sets = list(_sets(draws, quick=asked.quick))
    parts: dict[str, dict[str, Any]] = {each.name: {"rows": []} for each in sets}
    rows: list[Row] = []
    for name, bundle, variant in _models(dict(asked.model)):
        embedder = bundle.embedder(variant)
        embedded: dict[int, Vectors] = {}
        for each in sets:
            if id(each.gallery) not in embedded:
                embedded[id(each.gallery)] = galleries.embedded(each.gallery, embedder)
            found = _rows(name, each.faces, embedded[id(each.gallery)][each.rows], trials)
            parts[each.name]["rows"] += [asdict(row) for row in found]
            rows += found
        del embedder
        print(f"{name}: done", flush=True)
    machine.finish(rows, asked.json, machine=machine.describe(), parts=parts, notes=["MTCNN, stored chips"])


def _named(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=FOLDER")
    return name, Path(folder)


def _models(named: Mapping[str, Path]) -> Iterator[tuple[str, Bundle, Literal["fp32", "int8"]]]:
    bundles = {"casia-webface": chains.bundle()}
    if _VGGFACE2.is_file():
        folder = Path(__file__).parent / "results" / "vggface2"
        brought = Brought(_VGGFACE2, "vggface2", _VGGFACE2.name, licence=_LICENCE)
        bundles["vggface2"] = Bundle.open(folder) if folder.is_dir() else sources.bundle_of(brought, folder)
    bundles |= {name: Bundle.open(folder) for name, folder in named.items()}
    for name, bundle in bundles.items():
        yield f"{name} fp32", bundle, "fp32"
        if bundle.ways("int8"):
            yield f"{name} int8", bundle, "int8"


def _sets(draws: int, *, quick: bool) -> Iterator[Set]:
    whole, tech = _gallery(_LFW, quick=quick), _gallery(_TECH, quick=quick)
    if not quick:
        place = {photo: row for row, photo in enumerate(whole.photos)}
        file, detector = _LFW / "pairs_official.csv", chains.every_detector()["MTCNN"]
        named, listed = labelled.of_pairs(file, None, detector, max_pixels=chains.MAX_PIXELS)
        rows = np.array([place[photo] for photo in named.photos], np.int64)
        yield Set("LFW, official pairs", whole, measuring.of_pairs(named, listed, draws=draws, seed=0), rows)
    rows = _first_of_each(whole.people)
    few = Gallery([], whole.people[rows], whole.names, [whole.photos[row] for row in rows.tolist()])
    yield Set("lfw_dev, all pairs", whole, measuring.of_gallery(few, draws=draws, seed=0), rows)
    everyone = np.arange(len(tech.photos))
    yield Set("Georgia Tech, all pairs", tech, measuring.of_gallery(tech, draws=draws, seed=0), everyone)


def _gallery(folder: Path, *, quick: bool) -> Gallery:
    detector = chains.every_detector()["MTCNN"]
    if not quick:
        return labelled.of_directory(folder, detector, max_pixels=chains.MAX_PIXELS)
    several = (path for path in sorted(folder.iterdir()) if path.is_dir() and len(list(path.iterdir())) > 1)
    with tempfile.TemporaryDirectory() as linked:
        for person, _ in zip(several, range(_QUICK_PEOPLE), strict=False):
            (Path(linked) / person.name).symlink_to(person)
        return labelled.of_directory(Path(linked), detector, max_pixels=chains.MAX_PIXELS)


def _first_of_each(people: Labels) -> Labels:
    """The rows of the first photos of each person, as every figure about ``lfw_dev`` has them."""
    rows = [np.flatnonzero(people == person)[: datasets.MOST_A_PERSON] for person in np.unique(people)]
    return np.concatenate(rows)


def _rows(case: str, faces: Faces, vectors: Vectors, trials: int) -> list[Row]:
    said = figures.of(measuring.measured(faces, vectors, trials=trials), faces)
    verification, identification = said["verification"], said["identification"]
    found: list[tuple[str, float | None]] = [("photos without a face %", said["failure_to_detect"])]
    found += [(f"accuracy %, {verification['accuracy']['folds']} folds", verification["accuracy"]["mean"])]
    found += [("standard deviation of the folds", verification["accuracy"]["std"])]
    found += [("EER %", verification["eer"])]
    for rate, tmr in verification["tmr_at_fmr"].items():
        interval = verification["tmr_at_fmr_interval"][rate] or (None, None)
        found += [(f"TMR % at FMR {rate}", tmr), ("95% from", interval[0]), ("95% to", interval[1])]
        found[-2:] = [(f"TMR % at FMR {rate}, {name}", value) for name, value in found[-2:]]
    found += [(f"rank-1 % of {identification.get('enrolled_people')} people", identification["rank1"])]
    found += [(f"FNIR % at FPIR {rate}", fnir) for rate, fnir in identification["fnir_at_fpir"].items()]
    found += [(f"one-shot % of {ways}", share) for ways, share in said["n_way"].items()]
    of_faces = (said["of_found_faces"] or {"n_way": {}})["n_way"]
    found += [(f"one-shot % of {ways}, faces that were found", share) for ways, share in of_faces.items()]
    rows = [Row(case, name, 100 * value) for name, value in found if value is not None]
    area = Row(case, "AUC", verification["auc"])
    levels = verification["threshold_at_fmr"].items()
    return [*rows, area, *(Row(case, f"threshold at FMR {rate}", level) for rate, level in levels if level is not None)]


if __name__ == "__main__":
    main()
