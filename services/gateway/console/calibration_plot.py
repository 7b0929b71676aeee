"""A calibration as a plot: rates over similarity, in the coordinates of an SVG. The template draws what is worked out here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.calibrated import Calibrated
from services.errors import InvalidRequest

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 704, 16, 332
"""Of the part within the axes."""

_LEAST_RATE, _LEAST_SPAN = 1e-3, 0.4


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    value: float
    """A similarity, or a rate."""


@dataclass(frozen=True, slots=True)
class Dot:
    """From which similarity on a share of strangers is named, in a gallery as it is now."""

    x: float
    y: float
    rate: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table that says the same."""

    similarity: float
    fmr: float
    low: float
    high: float
    fnmr: float | None


@dataclass(frozen=True, slots=True)
class Plot:
    """What is drawn. Paths are empty where there are not enough people for them."""

    fmr: str
    interval: str
    """Of the FMR: where it lies in 95 of 100 other collections like this."""
    fnmr: str
    fpir: list[Dot]
    threshold: float | None
    """Where searches decide; None beyond the axis."""
    similarities: list[Tick]
    rates: list[Tick]
    rows: list[Row]


def plot(curves: Mapping[str, Any], people: int, threshold: float | None) -> Plot | None:
    """The plot of a calibration; None where it has no table of FMR, so that there is nothing to draw.

    Args:
        curves: As :class:`services.calibrated.Calibrated` reads them.
        people: How many are enrolled now, for the FPIR.
        threshold: From which similarity on searches accept.
    """
    rows = [Row(*row) for row in curves["fmr"]]
    if len(rows) < 2:
        return None
    named = _named(curves, people)
    axes = _Axes.over(rows, [similarity for _, similarity in named])
    low = [(row.similarity, row.low) for row in rows]
    high = [(row.similarity, row.high) for row in rows]
    return Plot(
        fmr=axes.path([(row.similarity, row.fmr) for row in rows]),
        interval=axes.path([*low, *reversed(high)]) + "Z",
        fnmr=axes.path([(row.similarity, row.fnmr) for row in rows if row.fnmr is not None]),
        fpir=[Dot(axes.x(at), axes.y(rate), rate, at) for rate, at in named],
        threshold=axes.x(threshold) if threshold is not None and axes.first <= threshold <= axes.last else None,
        similarities=axes.similarities(),
        rates=[Tick(axes.y(10.0**power), 10.0**power) for power in range(axes.power, 1)],
        rows=rows,
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """Similarities from left to right, evenly; rates from below by their logarithm."""

    first: float
    last: float
    power: int
    """Of ten: the least rate shown."""

    @classmethod
    def over(cls, rows: Sequence[Row], others: Sequence[float]) -> "_Axes":
        similarities = [*(row.similarity for row in rows), *others]
        first = math.floor(min(similarities) * 10) / 10
        last = min(math.ceil(max(*similarities, first + _LEAST_SPAN) * 10) / 10, 1.0)
        least = min(_LEAST_RATE, *(row.fmr for row in rows))
        return cls(first, last, math.floor(math.log10(least) + 1e-9))

    def x(self, similarity: float) -> float:
        share = (similarity - self.first) / (self.last - self.first)
        return round(LEFT + (RIGHT - LEFT) * share, 1)

    def y(self, rate: float) -> float:
        """Rates below the axis lie on it."""
        share = math.log10(max(rate, 10.0**self.power)) / self.power
        return round(TOP + (BOTTOM - TOP) * share, 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        placed = [f"{self.x(similarity)} {self.y(rate)}" for similarity, rate in points]
        return f"M{'L'.join(placed)}" if len(placed) > 1 else ""

    def similarities(self) -> list[Tick]:
        tenths = range(round(self.first * 10), round(self.last * 10) + 1)
        step = 1 if len(tenths) <= 8 else 2
        return [Tick(self.x(tenth / 10), tenth / 10) for tenth in tenths if tenth % step == 0]


def _named(curves: Mapping[str, Any], people: int) -> list[tuple[float, float]]:
    """Each FPIR that there are enough people for, and from which similarity on."""
    calibrated = Calibrated(curves)
    found = []
    for rate in sorted(float(rate) for rate in curves["fpir"]):
        try:
            found.append((rate, calibrated.at_fpir(rate, people).threshold))
        except InvalidRequest:
            continue
    return found
