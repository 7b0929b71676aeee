"""Siamese networks from scratch, trained on half of the people and tried on the others.

    python -m benchmarks.siamese --part prepare
    python -m benchmarks.siamese --part scratch [--budget-s 110] [--variants …] [--sets …] [--seeds N]

``prepare`` writes the crops that the others read. ``scratch`` trains the networks and needs nothing but them, torch and
scikit-learn; so it can run on a machine with a GPU. :mod:`benchmarks.siamese_figures` trains the heads, and puts all figures
side by side.
"""

import argparse
import io
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import machine
from workers.evaluation import protocols
from workers.evaluation.pairing import Photos
from workers.training.siamese_pairs import Batch, Pairs

KEPT = Path(__file__).parent / "results" / "siamese"
CROP_PX = 160
WAYS = (4, 10, 20)
TRIALS = 20_000
SEEDS = 5
HELD_OUT = 5
"""One fold of so many of the training people decides when a network's training stops."""

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Faces:
    """A labelled set."""

    crops: NDArray[np.uint8]
    """(n, 160, 160, 3), RGB: the chip's central window."""
    people: NDArray[np.int64]
    vectors: Mapping[str, NDArray[np.float32]]
    """Of FaceNet, (n, 512), by variant."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to train."""

    changes: Mapping[str, Any]
    """Of :data:`BASE`."""
    window_px: int = CROP_PX
    """Side of the window of the crop that is reduced to 105 pixels."""
    whole: bool = False
    """Learn from all training people and take all steps; else a fifth of them decides when to stop."""


BASE: Mapping[str, Any] = {
    "steps": 600,
    "distortion": 1.0,
    "colour": 0.2,
    "average": 0.0,
    "dropout": 0.5,
    "validate_every": 25,
    "patience": 8,
}
"""What each variant changes; fixed here, so that figures stay those of their names when the recipe changes."""

KOCH = {"batch_norm": False, "dropout": 0.0, "colour": 0.0, "mirror": False, "shrink": 2e-4, "rate": 1e-4}
MILD = {"average": 0.98, "distortion": 0.5, "colour": 0.0}
VARIANTS: Mapping[str, Variant] = {
    "strongly distorted": Variant({}),
    "strongly distorted, 1,500 steps": Variant({"steps": 1500}),
    "moving average": Variant({"average": 0.98}),
    "as in the paper": Variant(KOCH),
    "without distortions": Variant({"distortion": 0.0, "colour": 0.0, "mirror": False}),
    "without dropout": Variant({"dropout": 0.0}),
    "without colour": Variant({"colour": 0.0}),
    "mild": Variant({**MILD, "steps": 250}, whole=True),
    "mild, 100 steps": Variant({**MILD, "average": 0.95, "steps": 100}, whole=True),
    "mild, held out": Variant({**MILD, "steps": 250, "patience": 0}),
    "mild, window 128": Variant({**MILD, "steps": 250}, window_px=128, whole=True),
    "mild, longer": Variant({**MILD, "steps": 800, "average": 0.99}, whole=True),
}


def main() -> None:
    """The command."""
    parser = machine.parser(__doc__)
    parser.add_argument("--part", choices=["prepare", "scratch"], required=True)
    parser.add_argument("--crops", type=Path, default=KEPT / "crops.npz", help="what prepare wrote")
    parser.add_argument("--runs", type=Path, default=KEPT / "runs", help="where scratch writes")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no training after this")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--sets", nargs="+", default=["gt", "lfw", "gt+lfw"])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, help="instead of the recipe's: to see that it runs")
    parser.add_argument("--device", help="cuda or cpu; otherwise what is there")
    wanted = parser.parse_args()
    if wanted.part == "prepare":
        prepare(wanted.crops)
    else:
        scratch(wanted)


def prepare(target: Path) -> None:
    """Write crops, people and FaceNet's vectors of lfw_dev (at most 15 photos a person) and Georgia Tech, 30 MB."""
    from benchmarks import chains, datasets  # noqa: PLC0415 - They bring what a GPU machine does not need.

    model, detector = chains.bundle(), chains.every_detector()["MTCNN"]
    embedders = {name: model.embedder(name) for name in ("fp32", "int8")}
    lfw, photos = datasets.lfw(), datasets.georgia_tech()
    sets = {"lfw": (lfw.photos, lfw.people), "gt": (photos, np.array([int(p.parent.name[1:]) for p in photos]))}
    held: dict[str, NDArray[Any]] = {}
    for name, (paths, people) in sets.items():
        crops = chains.stored_crops(detector, embedders["fp32"], paths)
        there = [place for place, crop in enumerate(crops) if crop is not None]
        found = [crop for crop in crops if crop is not None]
        jpegs = [_jpeg(crop) for crop in found]
        held |= {
            f"{name}_jpeg": np.frombuffer(b"".join(jpegs), np.uint8),
            f"{name}_offsets": np.cumsum([0, *map(len, jpegs)]),
            f"{name}_people": np.asarray(people, np.int64)[there],
            **{f"{name}_{variant}": embedder.embed(found) for variant, embedder in embedders.items()},
        }
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, **cast("dict[str, Any]", held))


def faces(file: Path) -> dict[str, Faces]:
    """The sets that :func:`prepare` wrote."""
    with np.load(file) as held:
        return {name: _faces(held, name) for name in ("lfw", "gt")}


def training_people(people: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Which rows show the half of the people who are trained on: the halves of :mod:`benchmarks.finetuning`.

    The others are never seen before the figures.
    """
    ids = np.random.default_rng([seed, 420]).permutation(np.unique(people))
    return np.isin(people, ids[: len(ids) // 2])


def scratch(wanted: argparse.Namespace) -> None:
    """Train networks until the budget is spent, the most telling first; each run is kept when it ends."""
    import torch  # noqa: PLC0415 - figures does without.

    began = time.monotonic()
    device = wanted.device or ("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device == "cuda" else machine.describe()["processor"]
    sets, small = faces(wanted.crops), dict[tuple[str, int], NDArray[np.uint8]]()
    wanted.runs.mkdir(parents=True, exist_ok=True)
    for of, variant, seed in runs(wanted.sets, wanted.variants, wanted.seeds):
        if time.monotonic() - began > wanted.budget_s:
            break
        if (wanted.runs / f"{_slug(of, variant, seed)}.json").exists():
            continue
        window = VARIANTS[variant].window_px
        for each in sets:
            if (each, window) not in small:
                small[each, window] = reduced(sets[each].crops, window)
        told = _trained(of, variant, seed, sets, {each: small[each, window] for each in sets}, device, wanted)
        print(json.dumps({**told, "device": name, "since_start_s": round(time.monotonic() - began, 1)}), flush=True)


def runs(sets: Sequence[str], variants: Sequence[str], seeds: int) -> Iterator[tuple[str, str, int]]:
    """Set, variant and seed of each run: set by set, and in each the variants side by side, seed by seed."""
    for of in sets:
        yield from ((of, variant, seed) for seed in range(seeds) for variant in variants)


class Either:
    """A batch of one set or of the other, so that no pair is told apart by the set that its photos come from."""

    def __init__(self, first: Pairs, second: Pairs, rows: int) -> None:
        self._first, self._second, self._rows = first, second, rows

    def batch(self, random: np.random.Generator) -> Batch:
        """The rows of the second set come after the *rows* of the first."""
        if random.random() < 0.5:
            return self._first.batch(random)
        drawn = self._second.batch(random)
        return replace(drawn, rows=drawn.rows + self._rows)


def _trained(
    of: str,
    variant: str,
    seed: int,
    sets: Mapping[str, Faces],
    small: Mapping[str, NDArray[np.uint8]],
    device: str,
    wanted: argparse.Namespace,
) -> dict[str, Any]:
    """Train once, judge all pairs of the unseen people, keep both."""
    from workers.training import loop, siamese_scratch  # noqa: PLC0415 - figures does without torch.
    from workers.training.siamese_pairs import PairsOfPeople, folds_of  # noqa: PLC0415
    from workers.training.siamese_recipe import ScratchRecipe  # noqa: PLC0415

    tested = "lfw" if of == "lfw" else "gt"
    chosen = VARIANTS[variant]
    changes = {**BASE, "people_a_batch": 32 if "lfw" in of else 16, **chosen.changes}
    if "lfw" in of:  # Forty times the people: longer, and judged less often.
        changes |= {"steps": max(700, changes["steps"]), "validate_every": 100}
    recipe = replace(ScratchRecipe(), **changes)
    if wanted.steps:
        recipe = replace(recipe, steps=wanted.steps, validate_every=max(1, wanted.steps // 2))
    people, learns = sets[tested].people, training_people(sets[tested].people, seed)
    crops, labels = small[tested][learns], people[learns]
    aside = folds_of(labels, HELD_OUT, np.random.default_rng(seed)) == 0
    held_out = None if chosen.whole else (crops[aside], labels[aside])
    if not chosen.whole:
        crops, labels = crops[~aside], labels[~aside]
    a_batch = {"people_a_batch": recipe.people_a_batch, "photos_a_person": recipe.photos_a_person}
    pairs: Pairs = PairsOfPeople(labels, **a_batch)
    if of == "gt+lfw":
        pairs = Either(pairs, PairsOfPeople(sets["lfw"].people, **a_batch), len(crops))
        crops = np.concatenate([crops, small["lfw"]])
    subject = siamese_scratch.Scratch(crops, pairs, held_out, recipe, seed=seed, device=device)
    began = time.monotonic()
    course = loop.run(subject, recipe.pace(), None, lambda _: None)
    took_s = time.monotonic() - began
    unseen = small[tested][~learns]
    odds = siamese_scratch.log_odds(subject.network, unseen)
    told = {
        "set": of,
        "variant": variant,
        "seed": seed,
        "train_s": round(took_s, 1),
        "steps": course.step,
        "best_step": course.best_step,
        "held_out_auc": course.best,
        "n_way": {ways: n_way(odds, people[~learns], ways, 500) for ways in WAYS},
        "recipe": asdict(recipe),
    }
    name = _slug(of, variant, seed)
    np.savez_compressed(wanted.runs / f"{name}.npz", odds=odds[np.triu_indices(len(odds), 1)])
    (wanted.runs / f"{name}.json").write_text(json.dumps(told) + "\n", "utf-8")
    return told


def n_way(scores: Scores, people: NDArray[np.int64], ways: int, trials: int = TRIALS) -> float:
    """One-shot rank-1 by a square of scores of all with all, in the same trials as for vectors."""
    numbered = np.unique(people, return_inverse=True)[1]
    rows = np.arange(len(people), dtype=np.float32)[:, None]
    photos = Photos(numbered, len(people), int(numbered.max()) + 1)

    def compare(a: Scores, b: Scores) -> Scores:
        return scores[a[:, 0].astype(np.int64), b[:, 0].astype(np.int64)]

    return protocols.n_way(rows, photos, ways, trials, 0, compare).share


def reduced(crops: NDArray[np.uint8], window_px: int) -> NDArray[np.uint8]:
    """The central window of each crop, reduced once to 105 pixels, as :mod:`workers.models.siamese` does with chips."""
    from workers.models.siamese_layers import CROP_PX as SIDE_PX  # noqa: PLC0415

    start = (CROP_PX - window_px) // 2
    inner = crops[:, start : start + window_px, start : start + window_px]
    resampling = Image.Resampling.BILINEAR
    with ThreadPoolExecutor() as threads:
        small = threads.map(
            lambda crop: np.asarray(Image.fromarray(crop).resize((SIDE_PX, SIDE_PX), resampling)), inner
        )
        return np.stack(list(small))


def _faces(held: Mapping[str, NDArray[Any]], name: str) -> Faces:
    jpeg, offsets = held[f"{name}_jpeg"], held[f"{name}_offsets"]
    crops = [np.asarray(Image.open(io.BytesIO(jpeg[start:end].tobytes()))) for start, end in pairwise(offsets.tolist())]
    vectors = {variant: held[f"{name}_{variant}"].astype(np.float32) for variant in ("fp32", "int8")}
    return Faces(np.stack(crops), held[f"{name}_people"], vectors)


def _jpeg(crop: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(crop).save(out, "JPEG", quality=92)
    return out.getvalue()


def _slug(of: str, variant: str, seed: int) -> str:
    return f"{of}-{variant.replace(' ', '-').replace(',', '')}-{seed}"


if __name__ == "__main__":
    main()
