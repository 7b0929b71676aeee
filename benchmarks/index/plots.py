"""The plots of docs/index.md, drawn from a run's figures: SVG with plain text, readable on light and on dark."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.machine import Row

_INK = "#8a8a8a"
_COLOURS = {
    "ours": "#d9480f",
    "hnswlib": "#4dabf7",
    "usearch": "#37b24d",
    "pgvector": "#ae3ec9",
    "exact fp16 scan": _INK,
}
_CURVE = re.compile(r"curve, ([\d,]+) faces, (\w+)(?:, M (\d+), ef \d+)?, at (\d+)$")
_MISSED_LEAST = 3e-5
"""Where no neighbour was missed: below what so few queries can tell."""


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the plots that the figures suffice for; returns their files."""
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "colega", "font.size": 9})
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for size, curves in sorted(_curves(rows).items()):
        if len(curves) > 1:
            written.append(_recall_and_time(size, curves, folder / f"index-recall-{size}.svg"))
    by_size = _by_size(rows)
    if len(by_size.get("ours", ())) > 2:
        written.append(_time_by_size(by_size, folder / "index-sizes.svg"))
    return written


def _curves(rows: Sequence[Row]) -> dict[int, dict[str, list[tuple[float, float]]]]:
    """By size and name, the points (recall, CPU ms) in the order of the effort."""
    points: dict[tuple[int, str], dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        curve = _CURVE.match(row.case)
        if curve and row.value is not None:
            name = f"{curve[2]}, M {curve[3]}" if curve[3] else curve[2]
            points[int(curve[1].replace(",", "")), name][int(curve[4])][row.metric] = row.value
    found: dict[int, dict[str, list[tuple[float, float]]]] = defaultdict(dict)
    for (size, name), efforts in points.items():
        found[size][name] = [(each["recall@10"], each["CPU ms, median"]) for _, each in sorted(efforts.items())]
    return found


def _recall_and_time(size: int, curves: Mapping[str, Sequence[tuple[float, float]]], file: Path) -> Path:
    figure, axes = _axes()
    for name, points in sorted(curves.items()):
        missed = [max(1 - recall, _MISSED_LEAST) for recall, _ in points]
        style = "--" if name.endswith("M 32") else "-"
        colour = _COLOURS.get(name.partition(",")[0], _INK)
        axes.plot(missed, [ms for _, ms in points], style, marker=".", color=colour, label=name)
    axes.axvline(0.001, color=_INK, linewidth=0.6, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="recall@10", ylabel="CPU ms a query, median")
    axes.invert_xaxis()
    ticks = [tick for tick in (0.5, 0.1, 0.01, 0.001, 1e-4) if tick >= _MISSED_LEAST]
    axes.set_xticks(ticks, [f"{1 - tick:g}" for tick in ticks])
    axes.set_title(f"{size:,} faces, one thread; right and down is better", color=_INK, fontsize=9)
    return _save(figure, axes, file)


def _by_size(rows: Sequence[Row]) -> dict[str, list[tuple[int, float]]]:
    names = {"one query, CPU ms, median": "ours", "exact fp16 scan, CPU ms, median": "exact fp16 scan"}
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in rows:
        size = re.fullmatch(r"([\d,]+) faces", row.case)
        if size and row.metric in names and row.peer is None and row.value is not None:
            found[names[row.metric]].append((int(size[1].replace(",", "")), row.value))
    return found


def _time_by_size(by_size: Mapping[str, Sequence[tuple[int, float]]], file: Path) -> Path:
    figure, axes = _axes()
    for name, points in by_size.items():
        sizes, times = zip(*sorted(points), strict=True)
        axes.plot(sizes, times, marker=".", color=_COLOURS[name], label=name)
    axes.set(xscale="log", yscale="log", xlabel="faces", ylabel="CPU ms a query, median")
    axes.set_title("recall@10 of 0.999 or more, one thread", color=_INK, fontsize=9)
    return _save(figure, axes, file)


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.grid(visible=True, color=_INK, alpha=0.25, linewidth=0.5)
    axes.tick_params(which="both", colors=_INK)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    for spine in axes.spines.values():
        spine.set_color(_INK)
    return figure, axes


def _save(figure: Figure, axes: Any, file: Path) -> Path:  # noqa: ANN401 - Matplotlib has no types.
    axes.legend(frameon=False, labelcolor=_INK, fontsize=8)
    figure.savefig(file, transparent=True, metadata={"Date": None})
    return file
