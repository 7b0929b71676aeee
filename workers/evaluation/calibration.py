"""Calibration: which false-match and false-positive rates a similarity stands for among the people of a collection.

Fitted on the collection's own faces. A rate for which there are too few people is left out, not extrapolated: what the
tables hold, and which definitions and figures they rest on, is in docs/calibration.md; :mod:`services.calibrated` reads
them.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from services.calibrated import VERSION, needed_for
from services.errors import InvalidRequest
from workers.evaluation import calibration_rates as rates
from workers.evaluation import calibration_scores as scores
from workers.evaluation.calibration_rates import Decided, Rates
from workers.evaluation.calibration_scores import Own, cosine
from workers.evaluation.metrics import Labels
from workers.faces.values import Vectors

REPLICATES = 300
FMR = tuple(10 ** (-step / 5) for step in range(1, 31))
"""From 0.63 to 1e-6, the powers of ten among them."""
COARSEST = 0.01
"""A table of FMR that does not come down to this says nothing of a match, and is left out."""
FPIR = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
NEEDS = {"fmr": 5, "fpir": 4, "mated": 10}
"""Pairs of people expected at or above a threshold, strangers expected to be named, and people with two faces: below
these the interval is wider than a factor of four to either side (docs/calibration.md)."""

_SMALLER, _LARGER = (8, 4, 2), (2, 4)

MatchRow = tuple[float, float, float, float, float | None]
"""Similarity, FMR, its interval, FNMR."""
SearchRow = tuple[int, float, float, float, float | None]
"""People, threshold, interval of the FPIR, FNIR."""

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Tables of rates."""

    people: int
    faces: int
    compared: int
    """People of whom the FMR is."""
    strangers: int
    """People of whom the FPIR is."""
    mated_people: int
    """People with two faces or more."""
    fmr: list[MatchRow]
    """Of a probe against a person by all their faces; similarities rise, rates fall."""
    pairs: list[MatchRow]
    """The same against a person by one photo, as where two photos are compared."""
    fpir: dict[str, list[SearchRow]]
    """By rate: rows by the size of the gallery, which rises."""

    def curves(self) -> dict[str, Any]:
        """As JSON."""
        return {"version": VERSION, "needs": NEEDS, **asdict(self)}


def fit(
    vectors: Vectors, people: Labels, *, seed: int = 0, replicates: int = REPLICATES, told: Told = lambda *_: None
) -> Calibration:
    """Fit on everybody who is enrolled; of very many, on people drawn by lot. 50,000 faces take minutes and 1 GB.

    Args:
        vectors: (n, d) float32 of norm 1.
        people: (n,) whose each is; any numbers.
        seed: Of what is drawn by lot.
        replicates: Of the bootstrap over people.
        told: Told how many of four steps are done. May raise.

    Raises:
        InvalidRequest: There are fewer than two people, or a vector has no direction.
    """
    counts = np.unique(people, return_counts=True)[1]
    enrolled, mated_people = len(counts), int((counts > 1).sum())
    if enrolled < 2:
        least = needed_for("fpir", FPIR[-1], NEEDS)
        raise InvalidRequest(
            f"A calibration compares people with each other, {least} or more; enrolled: {enrolled}. Enrol others first."
        )
    if not np.isfinite(vectors).all() or (np.linalg.norm(vectors, axis=1) < 0.5).any():
        raise InvalidRequest("A face has a vector without a direction: the model does not fit these faces.")
    told(0, 4)
    matches = scores.matches(vectors, people, one_photo=False, seed=seed)
    fmr = _match_rows(matches, seed, replicates)
    told(1, 4)
    compared = matches.people
    del matches
    pairs = _match_rows(scores.matches(vectors, people, one_photo=True, seed=seed), seed, replicates)
    told(2, 4)
    searches = scores.searches(vectors, people, seed=seed)
    told(3, 4)
    fpir = _search_rows(searches, seed, replicates)
    told(4, 4)
    return Calibration(enrolled, len(people), compared, searches.strangers, mated_people, fmr, pairs, fpir)


def _match_rows(matches: scores.Matches, seed: int, replicates: int) -> list[MatchRow]:
    whole = rates.match_rates(matches)
    drawn = rates.drawn(matches.people, replicates, seed)
    others = np.stack([rates.match_rates(matches, times) for times in drawn])
    missed = _missed(matches.own)
    rows: list[MatchRow] = []
    level = 0
    for rate in FMR:
        if needed_for("fmr", rate, NEEDS) > matches.people:
            break
        found = rates.decided(whole, others, rate)
        if found is None:
            break
        level = max(level, found.level)
        rows.append((cosine(level), _short(rate), *_interval(rate, found), _at(missed, level)))
    return rows if rows and rows[-1][1] <= COARSEST else []


def _search_rows(searches: scores.Searches, seed: int, replicates: int) -> dict[str, list[SearchRow]]:
    others = searches.people - 1
    sizes = sorted({*(max(others // part, 1) for part in _SMALLER), others, *(others * times for times in _LARGER)})
    whole = rates.search_rates(searches, sizes)
    drawn = rates.drawn(searches.people, replicates, seed)
    again = np.stack([rates.search_rates(searches, sizes, times) for times in drawn])
    missed = [_missed(searches.own, others, size) for size in sizes]
    found: dict[str, list[SearchRow]] = {}
    stricter = [0] * len(sizes)
    for rate in reversed(FPIR):
        rows: list[SearchRow] = []
        level = 0
        for place, size in enumerate(sizes):
            # A gallery twice as large is judged by the similarities at which half as many are named in this one.
            if needed_for("fpir", rate * min(others / size, 1.0), NEEDS) > searches.strangers:
                break
            at = rates.decided(whole[place], again[:, place], rate)
            if at is None:
                break
            level = stricter[place] = max(level, stricter[place], at.level)
            rows.append((size, cosine(level), *_interval(rate, at), _at(missed[place], level)))
        if rows and rows[-1][0] >= others:
            found[f"{rate:g}"] = rows
    return found


def _missed(own: Own, others: int = 0, size: int = 1) -> Rates | None:
    """None where too few people have two photos."""
    return rates.missed(own, others, size) if len(np.unique(own.persons)) >= NEEDS["mated"] else None


def _interval(rate: float, found: Decided) -> tuple[float, float]:
    return _short(min(found.low, rate)), _short(max(found.high, rate))


def _at(missed: Rates | None, level: int) -> float | None:
    return None if missed is None else round(float(missed[level]), 4)


def _short(rate: float) -> float:
    return float(f"{rate:.4g}")
