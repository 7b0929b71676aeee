"""What triplet fine-tuning gains on people it never saw: halves of ``lfw_dev``'s people, paired by seed.

    python -m benchmarks.finetuning prepare FOLDER            chips and weights, where the photos are
    python -m benchmarks.finetuning run FOLDER --out FOLDER   on any machine with torch, in a process a seed

A run writes a line of JSON for every variant and seed as soon as it has it, so whatever ends it early loses one. All figures
are of the half that the training did not see, of at most 15 photos a person, in float32; Georgia Tech is never trained on.
``python -m benchmarks.finetuning_page FOLDER`` makes the tables of docs/training.md of them.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.finetuning_faces import VIEWS, WEIGHTS, make_views, prepare, read, weights_of
from benchmarks.finetuning_variants import LISTS, VARIANTS
from workers.evaluation import metrics, protocols
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors
from workers.training import datasets, networks, triplets
from workers.training.datasets import Features, Rows
from workers.training.networks import Facenet
from workers.training.recipe import Recipe

RATES = (1e-2, 1e-3, 1e-4)
WAYS = 20
KEPT_WAYS = (0.5, 0.75, 1.0)
"""How much of the way from the old weights to the new ones is judged beside what the recipe says."""
_AT_ONCE = 256

_BARE: Mapping[str, Any] = {"held_out": 0.0, "validate_every": 100_000, "patience": 0, "way": 1.0}
"""Of a variant that does not say otherwise: nobody is held out, so the last weights are judged."""


def halves(people: Labels, seed: int) -> tuple[Rows, Rows]:
    """The photos of half of the people, to learn from, and those of the others."""
    ids = np.random.default_rng([seed, 420]).permutation(np.unique(people))
    learnt = np.isin(people, ids[: len(ids) // 2])
    return np.flatnonzero(learnt), np.flatnonzero(~learnt)


def figures(vectors: Vectors, people: Labels, trials: int) -> dict[str, float]:
    """TMR in percent by FMR, and one-shot of :data:`WAYS`."""
    pairs = metrics.all_pairs(vectors, people)
    found = {f"tmr@{rate:g}": 100 * triplets.tmr_at(pairs, rate) for rate in RATES}
    several = int((np.unique(people, return_counts=True)[1] > 1).sum())
    if several >= WAYS:
        found[f"{WAYS}-way"] = 100 * protocols.one_shot(vectors, people, WAYS, trials)
    return found


class Bench:
    """One process: everything on its device, runs one after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device = networks.device_of(options.device)
        self.weights = weights_of(options.weights or options.folder / WEIGHTS)
        self.lfw, self.gt = (read(options.folder, name, options.most) for name in ("lfw", "gt"))
        self.scratch, self.bundles = options.scratch, options.bundles
        self.views = np.load(options.scratch / VIEWS, mmap_mode="r")
        self.trials, self.steps = options.trials, options.steps
        self.held: dict[str, tuple[Features, Features]] = {}
        self.untouched: tuple[Vectors, Vectors] | None = None

    def features(self, facenet: Facenet) -> tuple[Features, Features]:
        """Of both sets, at the first trained stage; of Georgia Tech the crops as they are."""
        stage = facenet.first_trained
        if stage not in self.held:
            self.held.clear()  # One stage at a time fits everywhere.
            kept = [self.scratch / f"{stage}-{name}.npy" for name in ("lfw", "gt")]
            if all(path.is_file() for path in kept):
                first, second = (Features(np.load(path), self.device) for path in kept)
            else:
                first, second = (Features(held, self.device) for held in self.through(facenet))
            self.held[stage] = first, second
        return self.held[stage]

    def through(self, facenet: Facenet) -> list[torch.Tensor]:
        """The views of both sets through what is not trained."""
        gt = np.stack([datasets.crop(chip) for chip in self.gt.chips])[None]
        at_once = _AT_ONCE if self.device.type == "cuda" else 16
        found: list[torch.Tensor] = []
        for crops in (self.views, gt):
            flat = crops.reshape(-1, *crops.shape[2:])
            parts = [
                torch.as_tensor(facenet.through(np.array(flat[start : start + at_once])))
                for start in range(0, len(flat), at_once)
            ]
            joined = torch.cat(parts)
            found.append(joined.view(*crops.shape[:2], *joined.shape[1:]))
        return found

    def run(self, name: str, seed: int) -> dict[str, Any]:
        """Train one variant on one half and judge it on the other."""
        fields = dict(VARIANTS[name])
        people_at_most = fields.pop("people", None)
        fixed = {"seed": seed, **({"steps": self.steps} if self.steps else {})}
        recipe = Recipe.of({**_BARE, **fields, **fixed}).on(gpu=self.device.type == "cuda")
        began = time.monotonic()
        facenet = Facenet(self.weights, recipe.first_trained, self.device)
        lfw, gt = self.features(facenet)
        learnt, unseen = halves(self.lfw.people, seed)
        if people_at_most is not None:
            ids = np.random.default_rng([seed, 1]).permutation(np.unique(self.lfw.people[learnt]))
            learnt = learnt[np.isin(self.lfw.people[learnt], ids[: int(str(people_at_most))])]
        nobody = learnt[:0]
        subject = triplets.TripletTraining(facenet, lfw, self.lfw.people, learnt, nobody, recipe)
        every = np.arange(len(self.gt.people))
        judge_gt = triplets.TripletTraining(facenet, gt, self.gt.people, every, every[:0], recipe)
        if self.untouched is None:
            self.untouched = subject.vectors(np.arange(len(self.lfw.people))), judge_gt.vectors(every)
        started = {key: held.detach().clone() for key, held in facenet.parameters().items()}
        prepared = time.monotonic()
        outcome = triplets.fine_tune(facenet, lfw.among(learnt), self.lfw.people[learnt], recipe, None, lambda _: None)
        trained_s = time.monotonic() - prepared
        ended = {key: held.detach().clone() for key, held in facenet.parameters().items()}
        people = self.lfw.people[unseen]
        before = figures(self.untouched[0][unseen], people, self.trials)
        before_gt = figures(self.untouched[1], self.gt.people, self.trials)
        after: dict[str, Any] = {}
        for way in KEPT_WAYS:
            with torch.no_grad():
                for key, held in facenet.parameters().items():
                    held.copy_(torch.lerp(started[key], ended[key], way))
            new = subject.vectors(unseen)
            moved = float(1 - (new * self.untouched[0][unseen]).sum(1).mean())
            after[f"{way:g}"] = {
                "lfw": figures(new, people, self.trials),
                "gt": figures(judge_gt.vectors(every), self.gt.people, self.trials),
                "moved": moved,
            }
        if self.bundles is not None:
            self._keep(facenet, recipe, self.bundles / str(seed))
        return {
            "variant": name,
            "seed": seed,
            "recipe": recipe.as_json(),
            "learnt": triplets.counts(self.lfw.people[learnt]),
            "unseen": triplets.counts(people),
            "before": {"lfw": before, "gt": before_gt},
            "after": after,
            "ended": [outcome.validated.ended, outcome.validated.step, outcome.validated.best_step],
            "last": outcome.validated.validations[-1],
            "trained_s": round(trained_s, 2),
            "features_s": round(prepared - began, 2),
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
        }

    @staticmethod
    def _keep(facenet: Facenet, recipe: Recipe, folder: Path) -> None:
        """Write what was trained as a bundle, for other benchmarks to judge beside what is not."""
        from workers.models import casia_webface, facenet_bundle  # noqa: PLC0415 - needs more than machines elsewhere have

        folder.parent.mkdir(parents=True, exist_ok=True)
        facenet_bundle.write(
            folder,
            facenet.weights(),
            name=f"{casia_webface.NAME}-tuned",
            licence="Of casia-webface.",
            provenance={"kind": "triplet", "recipe": recipe.as_json(), "learnt": f"half {recipe.seed} of lfw_dev"},
        )


def _slot(options: argparse.Namespace, slot: int, ends: float) -> None:
    """One process: its share of all variants and seeds, in order, until *ends*."""
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [(name, seed) for name in options.variants for seed in seeds]
    for name, seed in jobs[slot :: options.processes]:
        if time.time() > ends:
            return
        try:
            found = bench.run(name, seed)
        except Exception as error:  # noqa: BLE001 - one variant that fails must not cost the others
            found = {"variant": name, "seed": seed, "error": repr(error)}
        with (options.out / f"{options.name}.jsonl").open("ab", buffering=0) as file:
            file.write(json.dumps(found).encode() + b"\n")  # One write: lines of several processes do not mix.
        if "error" in found:
            print(found, flush=True)
            continue
        gain = {k: found["after"]["1"][k]["tmr@0.001"] - found["before"][k]["tmr@0.001"] for k in ("lfw", "gt")}
        print(f"{name:40} {seed} {gain['lfw']:+.2f} gt {gain['gt']:+.2f} {found['trained_s']} s", flush=True)


def keep_features(options: argparse.Namespace) -> None:
    """Compute the head's features and keep them, so that processes without a GPU may run its variants at the same time."""
    bench = Bench(options)
    for name, held in zip(("lfw", "gt"), bench.through(Facenet(bench.weights, "head", bench.device)), strict=True):
        np.save(options.scratch / f"head-{name}.npy", held.cpu().numpy())


def run(options: argparse.Namespace) -> None:
    """Every variant with every seed, while there is time."""
    ends = time.time() + options.budget_s
    options.out.mkdir(parents=True, exist_ok=True)
    make_views(options)
    print(f"views made, {ends - time.time():.0f} s left", flush=True)
    context = multiprocessing.get_context("spawn")
    slots = [context.Process(target=_slot, args=(options, slot, ends)) for slot in range(options.processes)]
    for process in slots:
        process.start()
    for process in slots:
        process.join()


def _named(text: str) -> list[str]:
    """The variants of a list of names, some of which name a list, parted by semicolons."""
    return [name for part in text.split(";") for name in LISTS.get(part, [part])]


def main() -> None:
    """Prepare or run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "views", "features", "run"))
    parser.add_argument("folder", type=Path, help="with chips.npz, and casia.safetensors unless --weights says where")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/finetuning"))
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/finetuning"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--name", default="runs")
    parser.add_argument("--bundles", type=Path, help="a folder for what was trained, by seed")
    parser.add_argument(
        "--variants", type=_named, default=list(VARIANTS), help="lists and variants; " + ", ".join(LISTS)
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--most", type=int, help="photos, for a dry run")
    parser.add_argument("--steps", type=int, help="in place of what the recipes say, for a dry run")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--budget-s", type=float, default=1e9)
    options = parser.parse_args(sys.argv[1:])
    if options.what == "prepare":
        prepare(options.folder)
    elif options.what == "views":
        make_views(options)
    elif options.what == "features":
        keep_features(options)
    else:
        run(options)


if __name__ == "__main__":
    main()
