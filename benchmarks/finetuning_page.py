"""The tables of docs/training.md that come from benchmarks.finetuning.

    python -m benchmarks.finetuning_page FOLDER             prints them
    python -m benchmarks.finetuning_page FOLDER --page      writes them into docs/training.md

Every variant that was run is in them as it came out: the mean over its seeds of the difference to the untouched model on the
same people, and the standard error of that mean.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"
BEGIN, END = "<!-- benchmarks.finetuning_page: begin -->", "<!-- benchmarks.finetuning_page: end -->"
_FRESH = 100
"""From this seed on halves are ones that nothing was chosen on."""

Run = Mapping[str, Any]


def read(folder: Path) -> list[Run]:
    """Every run that ended, one of each variant and seed."""
    found: dict[tuple[str, int], Run] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            run = json.loads(line)
            if "error" not in run:
                found.setdefault((run["variant"], run["seed"]), run)
    return list(found.values())


def tables(runs: Sequence[Run]) -> str:
    """All tables, as Markdown."""
    first = [run for run in runs if run["seed"] < _FRESH]
    fresh = [run for run in runs if run["seed"] >= _FRESH]
    lines = [_said(runs), ""]
    if fresh:
        lines += ["Defaults, on five halves that nothing was chosen on:", "", *_table(fresh), ""]
    named: Mapping[str, Callable[[str], bool]] = {
        "Defaults, on the five halves of the tables below": lambda name: (
            name.startswith("default") and "people" not in name
        ),
        "More training people (the default on a CPU)": lambda name: "people" in name and name.startswith("default"),
        "Which layers, at which rate": lambda name: ":" not in name and not name.startswith("default"),
        "Around the head at rate 3e-4": lambda name: name.startswith("head") and ":" in name,
        "Around mixed_7a at rate 3e-5": lambda name: name.startswith("mixed_7a") and ":" in name,
    }
    for title, mine in named.items():
        chosen = [run for run in first if mine(run["variant"])]
        if title.startswith("More"):
            chosen += [run for run in first if run["variant"] == "default on a CPU"]
        if chosen:
            lines += [f"{title}:", "", *_table(chosen, people=title.startswith("More")), ""]
    ways = [run for run in first if run["recipe"]["way"] == 1 and ":" not in run["variant"]]
    lines += ["How much of the way from the old weights to the new ones is kept:", "", *_ways(ways), ""]
    return "\n".join(lines)


def _said(runs: Sequence[Run]) -> str:
    devices = ", ".join(sorted({run["device"] for run in runs}))
    before = [run["before"]["lfw"] for run in runs if run["seed"] < _FRESH]
    means = {key: np.mean([one[key] for one in before]) for key in before[0]}
    gt = runs[0]["before"]["gt"]
    return (
        f"Untouched on these halves, mean: TMR {means['tmr@0.001']:.2f}% at FMR 1e-3, {means['tmr@0.0001']:.2f}% at 1e-4, 20-way "
        f"{means['20-way']:.2f}%; on Georgia Tech {gt['tmr@0.001']:.2f}% at 1e-3. Differences in points, mean ± standard error. "
        f"Seconds are those of the steps alone, on a CPU on cores shared with other work. Machines: {devices}."
    )


def _table(runs: Iterable[Run], *, people: bool = False) -> list[str]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run["variant"], []).append(run)
    ordered = list(by_name.items())
    if people:
        ordered.sort(key=lambda item: item[1][0]["learnt"]["people"])
    lines = [
        "| variant | people, with two photos | seeds | TMR at FMR 1e-2 | at 1e-3 | at 1e-4 | Georgia Tech at 1e-3 | 20-way % | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, mine in ordered:
        learnt = [run["learnt"] for run in mine]
        counts = f"{learnt[0]['people']}, {np.mean([one['with_two_photos'] for one in learnt]):.0f}"
        gains = [_gain(mine, "lfw", f"tmr@{rate}") for rate in ("0.01", "0.001", "0.0001")]
        ways = np.mean([run["after"]["1"]["lfw"]["20-way"] for run in mine])
        seconds = np.median([run["trained_s"] for run in mine])
        cells = [name, counts, str(len(mine)), *gains, _gain(mine, "gt", "tmr@0.001"), f"{ways:.2f}", f"{seconds:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _ways(runs: Iterable[Run]) -> list[str]:
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run["variant"], []).append(run)
    lines = [
        "| variant | way | TMR at FMR 1e-3 | at 1e-4 | Georgia Tech at 1e-3 | 20-way % | 1 - cosine to the old vectors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, mine in by_name.items():
        for way in mine[0]["after"]:
            gains = [
                _gain(mine, *what, way) for what in (("lfw", "tmr@0.001"), ("lfw", "tmr@0.0001"), ("gt", "tmr@0.001"))
            ]
            ways = np.mean([run["after"][way]["lfw"]["20-way"] for run in mine])
            moved = np.mean([run["after"][way]["moved"] for run in mine])
            lines.append("| " + " | ".join([name, way, *gains, f"{ways:.2f}", f"{moved:.3f}"]) + " |")
    return lines


def _gain(runs: Sequence[Run], of: str, key: str, way: str = "1") -> str:
    found = np.array([run["after"][way][of][key] - run["before"][of][key] for run in runs])
    error = f" ± {found.std(ddof=1) / np.sqrt(len(found)):.2f}" if len(found) > 1 else ""
    return f"{found.mean():+.2f}{error}"


def main() -> None:
    """Print the tables, or put them where they belong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the lines that benchmarks.finetuning wrote")
    parser.add_argument("--page", action="store_true")
    options = parser.parse_args()
    made = tables(read(options.folder))
    if not options.page:
        print(made)
        return
    before, rest = PAGE.read_text("utf-8").split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{made}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
