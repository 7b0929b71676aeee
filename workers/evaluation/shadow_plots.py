"""The plots of a comparison in the shadow."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from workers.evaluation.drawing import INK, MODELS, MUTED, Drawn
from workers.evaluation.metrics import Similarities
from workers.evaluation.plots import SETTINGS
from workers.evaluation.shadow import PLACES, Answers, Asked
from workers.evaluation.shadow_figures import Thresholds

_BINS = 60
_MOST_DOTS = 2_000
"""Dots of a plot: each is some 60 bytes of the page."""
_SIZE = (5.2, 3.9)
_NAMES = ("before", "after")


def every(asked: Asked, thresholds: Thresholds, *, seed: int) -> list[Drawn]:
    """What the answers give to draw; nothing where nobody can be looked for among others."""
    if not asked.probes.mated.any() or asked.everybody < 2:
        return []
    with mpl.rc_context(SETTINGS):
        both = enumerate(zip((asked.before, asked.after), thresholds, strict=True))
        scores = [_scores(place, answers, asked.probes.mated, level) for place, (answers, level) in both]
        return [*scores, _leads(asked, seed), _places(asked)]


def _scores(place: int, answers: Answers, mated: NDArray[np.bool_], threshold: float | None) -> Drawn:
    figure, axes = _axes()
    own = answers.own[mated]
    low = min(float(own.min()), float(answers.other_score.min()))
    high = max(float(own.max()), float(answers.other_score.max()), low + 1e-6)
    edges = np.linspace(low, high, _BINS + 1)
    _step(axes, answers.other_score, edges, MUTED, "the best other person")
    _step(axes, own, edges, MODELS[place], "the right person")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])  # Room for what stands above.
    if threshold is not None:
        axes.axvline(threshold, ymax=0.84, color=INK, linewidth=1, linestyle=(0, (4, 3)), label="accepted from here on")
    axes.set(xlabel="score", yticks=[])
    axes.spines["left"].set_visible(False)
    axes.legend(loc="upper left", ncols=2)
    caption = "Searches by enrolled faces, each model to its own scale: what overlaps is mistaken or missed."
    return Drawn(f"scores-{_NAMES[place]}", f"Scores {_NAMES[place]}", caption, wide=False, figure=figure)


def _leads(asked: Asked, seed: int) -> Drawn:
    rows = np.flatnonzero(asked.probes.mated)
    if len(rows) > _MOST_DOTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_DOTS, replace=False))
    old, new = asked.before.margin[rows], asked.after.margin[rows]
    worse, better = (old > 0) & (new <= 0), (old <= 0) & (new > 0)
    figure, axes = _axes()
    for which, colour, label in (
        (~worse & ~better, MUTED, "first in both, or in neither"),
        (better, MODELS[2], "first only after"),
        (worse, MODELS[1], "first only before"),
    ):
        if which.any():
            dots: Any = {"markersize": 3.2, "markeredgewidth": 0, "alpha": 0.55, "color": colour}
            axes.plot(old[which], new[which], "o", label=f"{label}: {int(which.sum()):,}", **dots)
    axes.axhline(0, color=INK, linewidth=0.9)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set(xlabel="lead of the right person before", ylabel="lead after")
    axes.legend(loc="best")
    caption = (
        "A dot is a search by one face. Its lead is the score of its own person less that of the best other one; "
        "below zero somebody else comes first."
    )
    return Drawn("leads", "Who comes first", caption, wide=False, figure=figure)


def _places(asked: Asked) -> Drawn:
    figure, axes = _axes()
    most = min(PLACES, asked.everybody)
    least = 1.0
    for place, (name, answers) in enumerate(zip(_NAMES, (asked.before, asked.after), strict=True)):
        rank = answers.rank[asked.probes.mated]
        shares = [float((rank <= each).mean()) for each in range(1, most + 1)]
        axes.plot(range(1, most + 1), shares, marker="o", markersize=4, label=name, color=MODELS[place])
        least = min(least, shares[0])
    axes.set_ylim(least - max(0.15 * (1 - least), 0.002), 1 + 0.03 * max(1 - least, 0.01))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g}%"))
    axes.set(xlabel="place", ylabel="searches that have the right person by then")
    axes.legend(loc="lower right")
    caption = "How far down the answer the right person is. Place 1 is the first answer."
    return Drawn("places", "Where the right person is", caption, wide=False, figure=figure)


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _step(axes: Any, scores: Similarities, edges: NDArray[np.float64], colour: str, label: str) -> None:  # noqa: ANN401
    counts = np.histogram(scores, edges)[0]
    density = counts / max(counts.sum(), 1) / (edges[1] - edges[0])
    middle = (edges[1:] + edges[:-1]) / 2
    axes.fill_between(middle, density, step="mid", alpha=0.29, color=colour, linewidth=0, label=label)
    axes.step(middle, density, where="mid", color=colour, linewidth=1.2)
