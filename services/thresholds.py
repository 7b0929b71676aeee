"""Where searches and comparisons decide: by the collection's calibration, or by the table that the model brings.

A decision is taken at a false-positive identification rate, not at a fixed cosine: what would name 1 stranger in 1,000
against one person names 19 in 100 against 420 (docs/evaluation.md, "Thresholds"; docs/calibration.md).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from services.calibrated import Calibrated, Known
from services.errors import InvalidRequest

DEFAULT_FPIR = 0.05
DEFAULT_FMR = 0.001

By = Literal["request", "calibration", "model"]


class Decision(NamedTuple):
    """From which similarity on a person is accepted, and who says so."""

    threshold: float
    by: By


def of_search(
    calibrated: Calibrated | None,
    table: Mapping[str, Any],
    people: int,
    *,
    threshold: float | None = None,
    fmr: float | None = None,
    fpir: float | None = None,
) -> Decision:
    """The similarity from which a search accepts.

    Where nothing is said: FPIR 5 % for the gallery's size, by the calibration if it has enough people for that.

    Args:
        calibrated: The collection's, under the model that is searched with, where it has one.
        table: The model's ``thresholds``.
        people: How many are enrolled.
        threshold: A cosine, taken as it is.
        fmr: A false-match rate.
        fpir: A false-positive identification rate.

    Raises:
        InvalidRequest: More than one was given, or a rate that there are not enough people for.
    """
    if calibrated is None or threshold is not None or (fmr is not None and fpir is not None):
        by: By = "request" if threshold is not None else "model"
        return Decision(for_search(table, people, threshold=threshold, fmr=fmr, fpir=fpir), by)
    if fmr is not None:
        return Decision(calibrated.at_fmr(fmr).threshold, "calibration")
    if fpir is None and not calibrated.has("fpir", DEFAULT_FPIR):
        return Decision(for_search(table, people), "model")
    return Decision(calibrated.at_fpir(DEFAULT_FPIR if fpir is None else fpir, people).threshold, "calibration")


def of_comparison(
    calibrated: Calibrated | None,
    table: Mapping[str, Any],
    known: Known,
    *,
    threshold: float | None = None,
    fmr: float | None = None,
) -> Decision:
    """The similarity from which two are the same; FMR 0.001 where nothing is said.

    Args:
        calibrated: As in :func:`of_search`.
        table: As in :func:`of_search`.
        known: Whether a photo is compared with a person or with another photo.
        threshold: A cosine, taken as it is.
        fmr: A false-match rate.

    Raises:
        InvalidRequest: As in :func:`of_search`.
    """
    rate = DEFAULT_FMR if fmr is None else fmr
    if threshold is None and calibrated is not None and (fmr is not None or calibrated.has(known, rate)):
        return Decision(calibrated.at_fmr(rate, known).threshold, "calibration")
    if threshold is not None:
        return Decision(for_search(table, 0, threshold=threshold, fmr=fmr), "request")
    return Decision(for_search(table, 0, fmr=rate), "model")


def for_search(
    table: Mapping[str, Any],
    people: int,
    *,
    threshold: float | None = None,
    fmr: float | None = None,
    fpir: float | None = None,
) -> float:
    """The similarity from which a search accepts by the model's table.

    Args:
        table: The model's ``thresholds``: ``fpir`` maps a rate to rows of (people, threshold, FNIR), ``fmr`` a rate to a
            threshold.
        people: How many are enrolled.
        threshold: A cosine, taken as it is.
        fmr: A false-match rate of the table.
        fpir: A false-positive identification rate of the table; 5 % where nothing is said.

    Raises:
        InvalidRequest: More than one was given, or a rate that the table does not have.
    """
    if sum(given is not None for given in (threshold, fmr, fpir)) > 1:
        raise InvalidRequest("Give one of threshold, fmr and fpir.")
    if threshold is not None:
        return threshold
    if fmr is not None:
        return float(_of_rate(table.get("fmr", {}), fmr, "fmr"))
    return _for_gallery(_of_rate(table.get("fpir", {}), DEFAULT_FPIR if fpir is None else fpir, "fpir"), people)


def for_pairs(table: Mapping[str, Any], count: int, *, strangers: float, rate: float) -> float:
    """The similarity from which two are alike where *count* are compared all with all.

    The more are compared, the more strangers each resembles by chance; so the rate falls as their number grows. The
    number is rounded up to a power of two: a list that grows keeps its threshold for a while.

    Args:
        table: The model's ``thresholds``, as above.
        count: How many are compared.
        strangers: How many strangers each may resemble, in the mean.
        rate: The highest false-match rate, however few are compared.

    Raises:
        InvalidRequest: The table has no rates.
    """
    known = sorted((math.log(float(key)), float(level)) for key, level in table.get("fmr", {}).items())
    if len(known) < 2:
        return float(_of_rate(table.get("fmr", {}), rate, "fmr"))
    wanted = math.log(min(rate, strangers / 2 ** math.ceil(math.log2(max(count, 1)))))
    left = max(i for i in range(len(known) - 1) if known[i][0] <= wanted or i == 0)
    (low, strict), (high, lax) = known[left], known[left + 1]
    return min(strict + (lax - strict) * (wanted - low) / (high - low), 1.0)


def _of_rate(table: Mapping[str, Any], rate: float, name: str) -> Any:  # noqa: ANN401 - a row or a number
    for key, found in table.items():
        if math.isclose(float(key), rate, rel_tol=1e-6):
            return found
    if not table:
        raise InvalidRequest(
            "The model brings no thresholds. Calibrate the collection (colega calibrate), or give a threshold."
        )
    known = ", ".join(sorted(table, key=float))
    raise InvalidRequest(f"{name}: without a calibration of this collection these rates are known: {known}.")


def _for_gallery(rows: Sequence[Sequence[float]], people: int) -> float:
    """Along the logarithm of the gallery's size between the table's sizes; beyond its end with the last slope."""
    sizes = [math.log(row[0]) for row in rows]
    levels = [float(row[1]) for row in rows]
    at = math.log(max(people, 1))
    if at <= sizes[0] or len(rows) == 1:
        return levels[0]
    right = next((i for i, size in enumerate(sizes) if size >= at), len(sizes) - 1)
    slope = (levels[right] - levels[right - 1]) / (sizes[right] - sizes[right - 1])
    if at > sizes[-1]:
        slope = max(slope, 0.0)
    return min(levels[right] + slope * (at - sizes[right]), 1.0)
