"""Siamese networks and heads against FaceNet alone and fine-tuned, on people that none of them has seen.

    python -m benchmarks.siamese_figures --runs DIR [--finetuned DIR] --json benchmarks/results/siamese.json

Trains the heads here; reads the networks' judgements that ``python -m benchmarks.siamese --part scratch`` has written.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.siamese import KEPT, SEEDS, TRIALS, WAYS, Faces, Scores, faces, n_way, training_people
from workers.evaluation import metrics
from workers.models.bundle import Bundle
from workers.models.heads import Head
from workers.training import siamese_head

RATES = (1e-2, 1e-3)
HEADS = "heads"
SETS = {"gt": "Georgia Tech", "lfw": "lfw_dev"}


def main() -> None:
    """Train the heads, judge everything on the people that it has not seen, and print it side by side."""
    parser = machine.parser(__doc__)
    parser.add_argument("--crops", type=Path, default=KEPT / "crops.npz", help="what benchmarks.siamese prepare wrote")
    parser.add_argument("--runs", type=Path, default=KEPT / "runs", help="what benchmarks.siamese scratch wrote")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument(
        "--finetuned",
        type=Path,
        help="folder of fine-tuned bundles called 0, 1, …, or of what benchmarks.finetuning run has written",
    )
    wanted = parser.parse_args()
    sets, rows = faces(wanted.crops), list[machine.Row]()
    for name, title in SETS.items():
        found = {
            **by_cosine(sets[name], wanted.seeds),
            **by_heads(sets[name], name, wanted.runs, wanted.seeds),
            **by_networks(sets[name], name, wanted.runs),
        }
        if wanted.finetuned is not None:
            found |= by_finetuned(sets[name], wanted.finetuned, wanted.seeds)
            found |= by_finetuning_runs(wanted.finetuned, name, wanted.seeds)
        for who, judged in found.items():
            rows += _rows(f"{title}: {who}", judged)
    halves = (
        f"Mean and spread (standard deviation) over {wanted.seeds} draws of the half of the people that is trained on."
    )
    notes = [halves, f"Figures in % are of the other half: {TRIALS:,} one-shot trials each, all pairs."]
    machine.finish(rows, wanted.json, machine=machine.describe(), notes=notes)
    print(f"\n{compact({'rows': [asdict(row) for row in rows]})}")


Judged = list[dict[str, float]]
"""The figures of each seed."""


def by_cosine(held: Faces, seeds: int) -> dict[str, Judged]:
    """FaceNet as it is, in each variant."""
    found: dict[str, Judged] = {}
    for variant, vectors in held.vectors.items():
        found[f"FaceNet untouched, {variant}"] = []
        for seed in range(seeds):
            unseen = ~training_people(held.people, seed)
            found[f"FaceNet untouched, {variant}"].append(
                judged(vectors[unseen] @ vectors[unseen].T, held.people[unseen])
            )
    return found


def by_heads(held: Faces, name: str, folder: Path, seeds: int) -> dict[str, Judged]:
    """A head on FaceNet's vectors, learnt from the training half; kept among the runs, so that it is trained once."""
    found: Judged = []
    vectors = held.vectors["fp32"]
    for seed in range(seeds):
        learns, file = training_people(held.people, seed), folder / HEADS / f"{name}-{seed}.json"
        if not file.exists():
            trained = siamese_head.train(vectors[learns], held.people[learns], seed=seed)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(trained.head.as_json()), "utf-8")
        head = Head.of_json(json.loads(file.read_text("utf-8")))
        unseen = vectors[~learns]
        odds = np.stack([head.log_odds(one[None], unseen) for one in unseen])
        found.append(judged(odds, held.people[~learns]))
    return {"Siamese head on FaceNet": found}


def by_networks(held: Faces, name: str, folder: Path) -> dict[str, Judged]:
    """The networks from scratch that were trained, by what on and how."""
    found: dict[str, Judged] = {}
    for file in sorted(folder.glob("*.json")):
        told = json.loads(file.read_text("utf-8"))
        if ("lfw" if told["set"] == "lfw" else "gt") != name:
            continue
        people = held.people[~training_people(held.people, told["seed"])]
        odds = np.zeros((len(people), len(people)), np.float32)
        odds[np.triu_indices(len(people), 1)] = np.load(file.with_suffix(".npz"))["odds"]
        others = ", with all of lfw_dev" if told["set"] == "gt+lfw" else ""
        found.setdefault(f"Siamese from scratch{others}, {told['variant']}", []).append(judged(odds + odds.T, people))
    return found


def by_finetuned(held: Faces, folder: Path, seeds: int) -> dict[str, Judged]:
    """FaceNet fine-tuned on the training half of lfw_dev of the same seed: a bundle each, in a folder called as the seed.

    Georgia Tech is never trained on, so its half is judged by each of them alike.
    """
    found: Judged = []
    for seed in range(seeds):
        if not (folder / str(seed)).is_dir():
            continue
        vectors = Bundle.open(folder / str(seed)).embedder("fp32").embed(held.crops)
        unseen = ~training_people(held.people, seed)
        found.append(judged(vectors[unseen] @ vectors[unseen].T, held.people[unseen]))
    return {"FaceNet fine-tuned": found} if found else {}


def by_finetuning_runs(folder: Path, name: str, seeds: int) -> dict[str, Judged]:
    """What :mod:`benchmarks.finetuning` has measured of its default recipes on the same halves; all 50 people of Georgia Tech."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for run in map(json.loads, file.read_text("utf-8").splitlines()):
            if run["seed"] < seeds and str(run["variant"]).startswith("default") and "error" not in run:
                after = run["after"][f"{run['recipe']['way']:g}"][name]
                figures = {f"TMR at FMR {rate:g}": after[f"tmr@{rate:g}"] for rate in RATES}
                kind = str(run["variant"]).removeprefix("default on ")
                found.setdefault(f"FaceNet fine-tuned, on {kind}", {})[run["seed"]] = {
                    "20-way": after["20-way"],
                    **figures,
                }
    return {who: list(by_seed.values()) for who, by_seed in found.items()}


def judged(scores: Scores, people: NDArray[np.int64]) -> dict[str, float]:
    """One-shot and verification figures in %, of a square of scores of all with all."""
    pairs = metrics.split(scores, people)
    found = {f"{ways}-way": 100 * n_way(scores, people, ways) for ways in WAYS}
    for rate in RATES:
        threshold = metrics.threshold_at(pairs.non_mated, rate)
        found[f"TMR at FMR {rate:g}"] = 100 * metrics.share_accepted(pairs.mated, threshold)
    return {**found, "EER": 100 * metrics.equal_error_rate(pairs), "AUC": 100 * metrics.area_under_roc(pairs)}


def compact(document: Mapping[str, Any]) -> str:
    """The tables of docs/evaluation.md, a set each: mean and spread in a cell."""
    figures = [*(f"{ways}-way" for ways in WAYS), *(f"TMR at FMR {rate:g}" for rate in RATES), "EER", "AUC"]
    values = {(row["case"], row["metric"]): row["value"] for row in document["rows"]}
    parts: list[str] = []
    for title in SETS.values():
        lines = [f"| {title} | draws | " + " | ".join(figures) + " |", "| --- |" + " --- |" * (len(figures) + 1)]
        for case in dict.fromkeys(case for case, _ in values if case.startswith(f"{title}: ")):
            cells = [_cell(values.get((case, figure)), values.get((case, f"{figure}, spread"))) for figure in figures]
            lines.append(
                f"| {case.removeprefix(f'{title}: ')} | {values[case, 'seeds']:.0f} | " + " | ".join(cells) + " |"
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(value: float | None, spread: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if spread is None else f"{value:.2f} ± {spread:.2f}"


def _rows(case: str, found: Judged) -> Iterator[machine.Row]:
    yield machine.Row(case, "seeds", len(found))
    for figure in found[0]:
        values = [one[figure] for one in found]
        yield machine.Row(case, figure, float(np.mean(values)))
        if len(values) > 1:
            yield machine.Row(case, f"{figure}, spread", float(np.std(values, ddof=1)))


if __name__ == "__main__":
    main()
