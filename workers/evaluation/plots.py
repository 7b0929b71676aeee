"""The plots of an evaluation. Figures are built as objects, without matplotlib's global state."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from workers.evaluation.drawing import GRID, INK, MODELS, MUTED, Drawn
from workers.evaluation.measuring import Measured
from workers.evaluation.verification import probit

SETTINGS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "font.size": 9.5,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.9,
    "svg.fonttype": "none",
    "svg.hashsalt": "colega",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
}
_PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.4g}%")
_POWER = FuncFormatter(lambda rate, _: f"{rate:.0e}".replace("e-0", "e-").replace("e+00", "") if rate < 1 else "1")
_HALF, _WHOLE = (5.2, 3.9), (10.6, 3.1)
_DET_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5)


Named = Sequence[tuple[str, Measured]]
"""What the models are called, with their figures, in the order of their colours."""


def every(models: Named) -> list[Drawn]:
    """The plots that the figures of *models* give; those that nothing can be drawn in are left out."""
    with mpl.rc_context(SETTINGS):
        return [
            drawn for draw in (_roc, _det, _histograms, _open_set, _cmc, _shots) if (drawn := draw(models)) is not None
        ]


def _roc(models: Named) -> Drawn | None:
    shown = _with(models, lambda measured: measured.verified.curve is not None)
    if not shown:
        return None
    with _axes(_HALF) as (figure, axes):
        least = 1.0
        for place, (i, name, measured) in enumerate(shown):
            curve = measured.verified.curve
            assert curve is not None
            axes.plot(np.maximum(curve.fmr, 1e-7), curve.tmr, label=name, **_line(i))
            positive = curve.fmr[curve.fmr > 0]
            least = min(least, float(positive.min()) if len(positive) else 1e-3)
            for rate, at in measured.verified.at_rate.items():
                if at is not None:
                    axes.plot([rate], [at.tmr], "o", markersize=4.5, **_line(i, width=False))
                    _interval(axes, rate * 1.13 ** (place - (len(shown) - 1) / 2), at.interval, i)
        _log(axes)
        axes.set_xlim(min(max(least, 1e-6), 0.5), 1)
        low = min(float(c.tmr[c.fmr > 0].min()) for _, _, m in shown if (c := m.verified.curve) is not None)
        axes.set_ylim(max(0.0, min(low, 0.9) - 0.03), 1.006)
        axes.yaxis.set_major_formatter(_PERCENT)
        axes.set(xlabel="FMR: strangers accepted", ylabel="TMR: the same person accepted")
        _legend(axes, shown)
    caption = "Up and left is better. Dots are the rates in the table; bars their 95% interval."
    return Drawn("roc", "ROC", caption, wide=False, figure=figure)


def _det(models: Named) -> Drawn | None:
    shown = _with(models, lambda measured: measured.verified.curve is not None)
    if not shown:
        return None
    with _axes(_HALF) as (figure, axes):
        smallest = 0.5
        for i, name, measured in shown:
            curve = measured.verified.curve
            assert curve is not None
            inside = (curve.fmr > 0) & (curve.fmr < 1) & (curve.tmr > 0) & (curve.tmr < 1)
            fmr, fnmr = curve.fmr[inside], 1 - curve.tmr[inside]
            axes.plot(probit(fmr), probit(fnmr), label=name, **_line(i))
            smallest = min([smallest, *fmr.tolist(), *fnmr.tolist()])
        ticks = [tick for tick in _DET_TICKS if tick >= smallest / 2] or list(_DET_TICKS[-2:])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(FixedLocator(probit(np.array(ticks)).tolist()))
            axis.set_minor_locator(NullLocator())
        low, high = probit(np.array([ticks[0] * 0.7, 0.55]))
        axes.set(xlim=(low, high), ylim=(low, high), xlabel="FMR", ylabel="FNMR: the same person refused")
        axes.xaxis.set_major_formatter(FuncFormatter(_deviate(ticks)))
        axes.yaxis.set_major_formatter(FuncFormatter(_deviate(ticks)))
        axes.axline((low, low), slope=1, color=MUTED, linewidth=0.9, linestyle=(0, (3, 3)))
        _legend(axes, shown)
    caption = "Both errors on normal deviates; down and left is better. The dashed line meets each curve at its EER."
    return Drawn("det", "DET", caption, wide=False, figure=figure)


def _histograms(models: Named) -> Drawn | None:
    shown = list(enumerate(models))
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(_WHOLE[0], _WHOLE[1] * rows), layout="constrained")
    for i, (name, measured) in shown:
        axes = figure.add_subplot(rows, columns, i + 1)
        held, colour = measured.histogram, _line(i)["color"]
        middle = (held.edges[1:] + held.edges[:-1]) / 2
        width = held.edges[1] - held.edges[0]
        for counts, label, fill, alpha in (
            (held.non_mated, "two people", MUTED, 0.28),
            (held.mated, "one person", colour, 0.30),
        ):
            if counts.sum():
                density = counts / counts.sum() / width
                axes.fill_between(middle, density, step="mid", alpha=alpha, color=fill, linewidth=0, label=label)
                axes.step(middle, density, where="mid", color=fill, linewidth=1.2)
        for rate, at in measured.verified.at_rate.items():
            if at is not None and rate in {1e-2, 1e-3}:
                axes.axvline(at.threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
                axes.annotate(
                    f"FMR {rate:.0e}".replace("e-0", "e-"),
                    (at.threshold, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(-3, -9) if rate == 1e-2 else (3, -9),
                    textcoords="offset points",
                    ha="right" if rate == 1e-2 else "left",
                    fontsize=8.5,
                    color=MUTED,
                )
        axes.set(title=name, xlabel="similarity", yticks=[])
        axes.set_ylim(bottom=0)
        axes.spines["left"].set_visible(False)
        if i == 0:
            axes.legend(loc="upper left")
    caption = (
        "How similar pairs of one person and of two are, each to its own scale. What overlaps is mistaken or missed."
    )
    return Drawn("similarities", "Similarities", caption, wide=True, figure=figure)


def _open_set(models: Named) -> Drawn | None:
    shown = _with(models, lambda measured: measured.identified is not None and measured.identified.curve is not None)
    if not shown:
        return None
    with _axes(_HALF) as (figure, axes):
        for place, (i, name, measured) in enumerate(shown):
            found = measured.identified
            assert found is not None
            assert found.curve is not None
            axes.plot(*found.curve, label=name, **_line(i))
            for rate, at in found.at_rate.items():
                if at is not None:
                    axes.plot([rate], [at.fnir], "o", markersize=4.5, **_line(i, width=False))
                    _interval(axes, rate * 1.13 ** (place - (len(shown) - 1) / 2), at.interval, i)
        _log(axes)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_PERCENT)
        axes.set(xlabel="FPIR: strangers given a name", ylabel="FNIR: people not named")
        _legend(axes, shown, "upper right")
    caption = "Searching among many, with strangers among the searches: down and left is better."
    return Drawn("open-set", "Open-set identification", caption, wide=False, figure=figure)


def _cmc(models: Named) -> Drawn | None:
    shown = _with(models, lambda measured: measured.identified is not None and len(measured.identified.cmc) > 1)
    if not shown:
        return None
    with _axes(_HALF) as (figure, axes):
        least, most = 1.0, 0
        for i, name, measured in shown:
            found = measured.identified
            assert found is not None
            axes.plot(range(1, len(found.cmc) + 1), found.cmc, marker="o", markersize=3.5, label=name, **_line(i))
            least, most = min(least, found.cmc[0]), max(most, len(found.cmc))
        axes.set_ylim(least - max(0.15 * (1 - least), 0.002), 1 + 0.03 * max(1 - least, 0.01))
        axes.yaxis.set_major_formatter(_PERCENT)
        axes.set(xlabel="rank", ylabel="searches that have the right person by then")
        axes.xaxis.set_major_locator(
            FixedLocator([rank for rank in (1, 2, 3, 5, 10, 15, 20) if rank <= most or most < 5])
        )
        _legend(axes, shown)
    caption = "Closed set: how far down the list of people the right one is. Rank 1 is the first answer."
    return Drawn("cmc", "CMC", caption, wide=False, figure=figure)


def _shots(models: Named) -> Drawn | None:
    shown = _with(models, lambda measured: any(shot is not None for shot in measured.shots.values()))
    if not shown:
        return None
    ways = [ways for ways in shown[0][2].shots if any(m.shots[ways] is not None for _, _, m in shown)]
    with _axes(_WHOLE) as (figure, axes):
        least = 1.0
        for place, (i, name, measured) in enumerate(shown):
            at = np.arange(len(ways)) + (place - (len(shown) - 1) / 2) * 0.08
            shares = [np.nan if (shot := measured.shots[each]) is None else shot.share for each in ways]
            axes.plot(at, shares, marker="o", markersize=4.5, label=name, **_line(i))
            for x, each in zip(at, ways, strict=True):
                shot = measured.shots[each]
                if shot is not None:
                    _interval(axes, float(x), shot.interval, i)
                    least = min(least, shot.share, *(shot.interval or ()))
        axes.set_ylim(max(0.0, least - max(0.1 * (1 - least), 0.001)), 1 + 0.03 * max(1 - least, 0.005))
        axes.yaxis.set_major_formatter(_PERCENT)
        axes.set_xticks(range(len(ways)), [str(each) for each in ways])
        axes.set(xlabel="people enrolled, with one photo each", ylabel="right person first")
        _legend(axes, shown)
    caption = "One photo enrolled of each, another one asked for. Bars are 95% intervals."
    return Drawn("n-way", "N-way one-shot", caption, wide=True, figure=figure)


def _with(models: Named, useful: Callable[[Measured], bool]) -> list[tuple[int, str, Measured]]:
    return [(i, name, measured) for i, (name, measured) in enumerate(models) if useful(measured)]


@contextmanager
def _axes(size: tuple[float, float]) -> Iterator[tuple[Figure, Any]]:
    figure = Figure(figsize=size, layout="constrained")
    yield figure, figure.add_subplot()


def _log(axes: Any) -> None:  # noqa: ANN401 - matplotlib's.
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_POWER)


def _interval(axes: Any, at: float, interval: tuple[float, float] | None, i: int) -> None:  # noqa: ANN401
    """A bar from one end of *interval* to the other."""
    if interval is not None:
        axes.plot([at, at], interval, alpha=0.4, solid_capstyle="round", **_line(i) | {"linewidth": 3.5})


def _line(i: int, *, width: bool = True) -> dict[str, Any]:
    style: dict[str, Any] = {"color": MODELS[i % len(MODELS)]}
    return style | ({"linestyle": "-" if i < len(MODELS) else "--"} if width else {})


def _legend(axes: Any, shown: Sequence[object], place: str = "lower right") -> None:  # noqa: ANN401 - matplotlib's.
    if len(shown) > 1:
        axes.legend(loc=place)


def _deviate(ticks: Sequence[float]) -> Callable[[float, int], str]:
    return lambda _, place: f"{100 * ticks[place]:g}%" if place is not None and place < len(ticks) else ""
