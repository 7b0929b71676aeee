"""What a calibration says: which rates a similarity stands for among the people of a collection, under one model.

Plain tables, written by :mod:`workers.evaluation.calibration` and read here without arrays: by searches, by ``status`` and
by the result of ``calibrate``. Definitions are in docs/calibration.md.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from services.errors import InvalidRequest

VERSION = 1

FPIR_TARGETS = (0.01, 0.05, 0.10)
FMR_TARGETS = (0.01, 0.001, 0.0001)
"""The rates that are told of wherever a calibration is."""
STALE_GROWTH = 2.0
"""A gallery that has grown, or shrunk, by so much has outgrown its calibration."""
STALE_SHARE = 0.5
"""So many changes since, as a share of the faces that it was fitted on, are as bad."""

Known = Literal["fmr", "pairs"]
"""How a person is known: by all their faces, as in a search, or by one photo, as where two photos are compared."""

_REFUSED = "Give a rate between {lowest:g} and {highest:g}."


class At(NamedTuple):
    """A decision: from which similarity, and what it costs."""

    rate: float
    """FMR or FPIR as asked for."""
    threshold: float
    low: float
    high: float
    """What the rate is in 95 of 100 other collections of as many people."""
    missed: float | None
    """FNMR or FNIR; None where too few people have two photos."""


class Calibrated:
    """A calibration, opened. Tables that would have invented digits are not in it."""

    def __init__(self, curves: Mapping[str, Any]) -> None:
        self.people = int(curves["people"])
        """How many were enrolled when it was fitted."""
        self.compared = int(curves["compared"])
        """How many of them were compared with each other, for the FMR."""
        self.strangers = int(curves["strangers"])
        """How many were asked for among all others, for the FPIR."""
        self.mated = int(curves["mated_people"])
        """How many have two faces or more: whom the FNIR and FNMR are about."""
        self.faces = int(curves["faces"])
        self.epoch = str(curves.get("epoch", ""))
        self._needs = curves["needs"]
        self._known: Mapping[Known, Sequence[At]] = {
            "fmr": [At(row[1], row[0], *row[2:]) for row in curves["fmr"]],
            "pairs": [At(row[1], row[0], *row[2:]) for row in curves["pairs"]],
        }
        self._fpir = sorted(
            (float(rate), [(row[0], At(float(rate), *row[1:])) for row in rows])
            for rate, rows in curves["fpir"].items()
        )

    def least(self, what: Literal["fmr", "pairs", "fpir"]) -> float | None:
        """The least rate that there are enough people for; None where there is none."""
        if what == "fpir":
            return self._fpir[0][0] if self._fpir else None
        return self._known[what][-1].rate if self._known[what] else None

    def has(self, what: Literal["fmr", "pairs", "fpir"], rate: float) -> bool:
        """Whether there are enough people for *rate*."""
        least = self.least(what)
        return least is not None and least <= rate * (1 + 1e-6)

    def fmr_of(self, similarity: float, known: Known = "fmr") -> float | None:
        """The false-match rate of a similarity. None: there is not even a coarse one.

        It never falls below the least rate that there are enough people for: there it says "at most".
        """
        rows = self._known[known]
        if not rows:
            return None
        if similarity >= rows[-1].threshold:
            return rows[-1].rate
        left, rate = -1.0, 1.0
        for row in rows:
            if similarity < row.threshold:
                share = (similarity - left) / (row.threshold - left) if row.threshold > left else 1.0
                return math.exp(_between(math.log(rate), math.log(row.rate), max(share, 0.0)))
            left, rate = row.threshold, row.rate
        return rows[-1].rate

    def at_fmr(self, rate: float, known: Known = "fmr") -> At:
        """Where to decide for a false-match rate.

        Raises:
            InvalidRequest: There are not enough people for it; says which rates there are, and how many are missing.
        """
        rows = self._known[known]
        if not rows or rate < rows[-1].rate * (1 - 1e-6):
            raise InvalidRequest(self._missing("fmr", rate, self.compared))
        if rate > rows[0].rate:
            raise InvalidRequest("fmr: " + _REFUSED.format(lowest=rows[-1].rate, highest=rows[0].rate))
        right = next((i for i, row in enumerate(rows) if row.rate <= rate * (1 + 1e-9)), len(rows) - 1)
        return _mixed(rows[max(right - 1, 0)], rows[right], rate)

    def at_fpir(self, rate: float, people: int) -> At:
        """Where to decide for a false-positive identification rate in a gallery of *people*.

        Raises:
            InvalidRequest: There are not enough people for it; says which rates there are, and how many are missing.
        """
        if not self._fpir or rate < self._fpir[0][0] * (1 - 1e-6):
            raise InvalidRequest(self._missing("fpir", rate, self.strangers))
        if rate > self._fpir[-1][0] * (1 + 1e-9):
            raise InvalidRequest("fpir: " + _REFUSED.format(lowest=self._fpir[0][0], highest=self._fpir[-1][0]))
        rows = [_at_size(rows, people) for _, rows in self._fpir]
        right = next(i for i, row in enumerate(rows) if row.rate >= rate * (1 - 1e-6))
        return _mixed(rows[max(right - 1, 0)], rows[right], rate)

    def searches(self, people: int) -> list[At]:
        """Every decision that there are enough people for, of searches in a gallery of *people*; the least rate first."""
        return [_at_size(rows, people) for _, rows in self._fpir]

    def stale(self, people: int, changes: int) -> str | None:
        """Why it should be fitted anew for a gallery of *people* after *changes* of the log; None where it need not be."""
        grown = people / max(self.people, 1)
        if grown >= STALE_GROWTH or grown <= 1 / STALE_GROWTH:
            return f"the gallery has gone from {self.people:,} to {people:,} people since"
        if changes >= STALE_SHARE * self.faces:
            return f"{changes:,} changes since, to the {self.faces:,} faces it was fitted on"
        return None

    def told(self, people: int | None = None) -> list[dict[str, Any]]:
        """What the target rates need and cost, as JSON: each with a sentence, and nulls where there are too few people.

        Args:
            people: In a gallery of so many, for the FPIR; None is as many as it was fitted on.
        """
        size = self.people if people is None else people
        rows = [self._row("fpir", rate, size) for rate in FPIR_TARGETS]
        return rows + [self._row("fmr", rate, None) for rate in FMR_TARGETS]

    def lines(self, people: int | None = None) -> list[str]:
        """:meth:`told` as sentences."""
        about = (
            f"{self.people:,} people with {self.faces:,} faces; costs are counted on {self.mated:,} with two or more."
        )
        return [about, *(row["sentence"] for row in self.told(people))]

    def _row(self, kind: Literal["fmr", "fpir"], rate: float, people: int | None) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": kind, "rate": rate, "people": people}
        named = (
            f"At {_percent(rate)} strangers named"
            if kind == "fpir"
            else f"At {_percent(rate)} of other people's photos accepted as a person's"
        )
        try:
            at = self.at_fmr(rate) if people is None else self.at_fpir(rate, people)
        except InvalidRequest as error:
            nothing = dict.fromkeys(("threshold", "low", "high", "missed"))
            return row | nothing | {"sentence": f"{named}: {str(error).partition(': ')[2]}"}
        row |= {"threshold": round(at.threshold, 4), "low": at.low, "high": at.high, "missed": at.missed}
        done = "named" if kind == "fpir" else "accepted"
        interval = f"{_percent(at.low)} to {_percent(at.high)} {done} in another group like this"
        return row | {"sentence": f"{named}, {self._cost(kind, at)}: from {at.threshold:.3f} on ({interval})."}

    def _cost(self, kind: Literal["fmr", "fpir"], at: At) -> str:
        if at.missed is None:
            return f"the cost cannot be told: {self.mated} people have two photos, {self._needs['mated']} are needed"
        missed = _percent(at.missed)
        return f"{missed} of known people go unnamed" if kind == "fpir" else f"{missed} of their own are refused"

    def _missing(self, what: Literal["fmr", "fpir"], rate: float, people: int) -> str:
        needed = needed_for(what, rate, self._needs)
        known = self.least(what)
        if needed <= people:
            why = "different people here are as alike as one person's photos; is somebody enrolled under two names?"
        else:
            why = f"not enough people: {needed:,} are needed, {needed - people:,} more than there are."
        lowest = "No rate can be told yet" if known is None else f"The least that can be told is {known:g}"
        return f"{what} {rate:g}: {why} {lowest}."


def needed_for(what: Literal["fmr", "fpir"], rate: float, needs: Mapping[str, float]) -> int:
    """How many people a rate needs: so that *needs* are expected beyond it, pairs of people or strangers."""
    expected = needs[what] / rate * (1 - 1e-9)
    return math.ceil(expected) if what == "fpir" else math.ceil(0.5 + math.sqrt(0.25 + expected))


def _at_size(rows: Sequence[tuple[float, At]], people: int) -> At:
    """Along the logarithm of the gallery's size; beyond the last size with the last slope, which never falls."""
    size = math.log(max(people, 1))
    sizes = [math.log(known) for known, _ in rows]
    if size <= sizes[0] or len(rows) == 1:
        return rows[0][1]
    right = next((i for i, known in enumerate(sizes) if known >= size), len(rows) - 1)
    one, other = rows[right - 1][1], rows[right][1]
    share = (size - sizes[right - 1]) / (sizes[right] - sizes[right - 1])
    threshold = min(_between(one.threshold, other.threshold, share), 1.0)
    share = min(share, 1.0)
    missed = None if one.missed is None or other.missed is None else _between(one.missed, other.missed, share)
    return At(one.rate, threshold, _between(one.low, other.low, share), _between(one.high, other.high, share), missed)


def _mixed(one: At, other: At, rate: float) -> At:
    """Between two decisions, along the logarithm of the rate."""
    if one.rate == other.rate:
        return other
    share = math.log(rate / one.rate) / math.log(other.rate / one.rate)
    missed = None if one.missed is None or other.missed is None else _between(one.missed, other.missed, share)
    low = rate * _between(one.low / one.rate, other.low / other.rate, share)
    high = rate * _between(one.high / one.rate, other.high / other.rate, share)
    return At(rate, _between(one.threshold, other.threshold, share), low, high, missed)


def _between(one: float, other: float, share: float) -> float:
    return one + (other - one) * share


def _percent(share: float) -> str:
    """A share for people: two digits."""
    return f"{float(f'{100 * share:.2g}'):g}%"
