"""Figures: what was measured, as JSON says it; rates are keyed as people write them (``"1e-3"``)."""

from collections.abc import Mapping
from typing import Any

from workers.evaluation import bootstrap, identification, measuring, metrics, verification
from workers.evaluation.bootstrap import Interval
from workers.evaluation.measuring import Faces, Measured

Figures = dict[str, Any]


def rate(value: float) -> str:
    """0.001 as ``1e-3``."""
    digits, _, exponent = f"{value:.0e}".partition("e")
    return f"{digits}e{int(exponent)}"


def of(measured: Measured, faces: Faces, *, searches: bool = True) -> Figures:
    """The figures of one model; *searches* where it is one that can be searched with."""
    return {
        "verification": _verification(measured, faces),
        "identification": _identification(measured),
        "n_way": {str(ways): None if shot is None else _rounded(shot.share) for ways, shot in measured.shots.items()},
        "n_way_interval": {
            str(ways): _interval(None if shot is None else shot.interval) for ways, shot in measured.shots.items()
        },
        "failure_to_detect": _rounded(1 - faces.photos.found / max(len(faces.photos.people), 1)),
        "of_found_faces": _of_faces(measured),
        "groups": _groups(measured),
        "not_said": _not_said(measured, faces, searches=searches),
    }


def _verification(measured: Measured, faces: Faces) -> Figures:
    found, pairs = measured.verified, faces.pairs
    accuracy = found.accuracy
    return {
        "accuracy": {
            "mean": None if accuracy is None else _rounded(accuracy.mean),
            "std": None if accuracy is None else _rounded(accuracy.std),
            "folds": None if accuracy is None else accuracy.folds,
            "pairs": None if accuracy is None else accuracy.pairs,
        },
        "auc": _rounded(found.auc),
        "eer": _rounded(found.eer),
        "tmr_at_fmr": {rate(r): None if at is None else _rounded(at.tmr) for r, at in found.at_rate.items()},
        "tmr_at_fmr_interval": {
            rate(r): _interval(None if at is None else at.interval) for r, at in found.at_rate.items()
        },
        "threshold_at_fmr": {
            rate(r): None if at is None else _rounded(at.threshold) for r, at in found.at_rate.items()
        },
        "false_matches_at_fmr": {rate(r): None if at is None else at.false_matches for r, at in found.at_rate.items()},
        "pairs": {
            "mated": len(pairs.mated),
            "non_mated": len(pairs.non_mated),
            "mated_without_a_face": int((pairs.mated >= faces.photos.found).any(1).sum()),
            "share_of_mated": _rounded(pairs.mated_share),
            "share_of_non_mated": _rounded(pairs.non_mated_share),
        },
    }


def _identification(measured: Measured) -> Figures:
    found = measured.identified
    if found is None:
        nothing = {rate(r): None for r in identification.RATES}
        return {
            "rank1": None,
            "rank1_interval": None,
            "fnir_at_fpir": nothing,
            "fnir_at_fpir_interval": nothing,
            "cmc": [],
        }
    return {
        "rank1": _rounded(found.rank1),
        "rank1_interval": _interval(found.rank1_interval),
        "fnir_at_fpir": {rate(r): None if at is None else _rounded(at.fnir) for r, at in found.at_rate.items()},
        "fnir_at_fpir_interval": {
            rate(r): _interval(None if at is None else at.interval) for r, at in found.at_rate.items()
        },
        "threshold_at_fpir": {
            rate(r): None if at is None else _rounded(at.threshold) for r, at in found.at_rate.items()
        },
        "cmc": [_rounded(share) for share in found.cmc],
        "enrolled_people": found.people,
        "photos_a_person": identification.ENROLLED,
        "searches": {"mated": found.searches, "non_mated": found.strangers, "draws": found.draws},
    }


def _of_faces(measured: Measured) -> Figures | None:
    found = measured.of_faces
    if found is None:
        return None
    return {
        "tmr_at_fmr": {rate(r): _rounded(tmr) for r, tmr in found.tmr.items()},
        "n_way": {str(ways): _rounded(share) for ways, share in found.shots.items()},
    }


def _groups(measured: Measured) -> list[Figures]:
    at = measuring.decision(measured.verified)
    if at is None:
        return []
    rows: list[Figures] = []
    for column, found in measured.groups:
        rows.append(
            {
                "column": column.name,
                "at_fmr": rate(at[0]),
                "threshold": _rounded(at[1]),
                "groups": [
                    {
                        "group": group.name,
                        "people": group.people,
                        "photos": group.photos,
                        "failure_to_detect": _rounded(group.failure_to_detect),
                        "tmr": _rounded(group.tmr),
                        "tmr_interval": _interval(group.tmr_interval),
                        "fmr": _rounded(group.fmr, 8),
                        "fmr_interval": _interval(group.fmr_interval, 8),
                        "pairs": {"mated": group.mated, "non_mated": group.non_mated},
                        "false_matches": group.false_matches,
                    }
                    for group in found
                ],
            }
        )
    return rows


def _not_said(measured: Measured, faces: Faces, *, searches: bool) -> dict[str, str]:
    """What is null, and why."""
    reasons = _pairs_not_said(measured, faces)
    if measured.identified is None:
        why = (
            measuring.why_not_identified(faces) if searches else "A Siamese head judges pairs; it is not searched with."
        )
        reasons["identification"] = why or ""
    else:
        for r, at in measured.identified.at_rate.items():
            if at is None:
                reasons[f"identification.fnir_at_fpir.{rate(r)}"] = (
                    f"Not enough strangers: {faces.photos.found:,} faces in {measured.identified.strangers:,} searches."
                )
    people = measuring.people_for_shots(faces)
    why = (
        f"{people} with two photos, one with a face." if faces.identified else "The list does not tell them all apart."
    )
    reasons |= {f"n_way.{ways}": f"Not enough people: {why}" for ways, shot in measured.shots.items() if shot is None}
    if faces.columns and not measured.groups:
        reasons["groups"] = "Groups are compared at a threshold, and there are not enough pairs to set one."
    return reasons


def _pairs_not_said(measured: Measured, faces: Faces) -> dict[str, str]:
    found, mated, non_mated = measured.verified, len(faces.pairs.mated), len(faces.pairs.non_mated)
    reasons: dict[str, str] = {}
    if found.accuracy is None:
        reasons["verification.accuracy"] = "Folds whose people are apart need at least two people with two photos each."
    if found.auc is None:
        few = f"Not enough pairs: {mated:,} of one person and {non_mated:,} of two; {verification.LEAST_PAIRS} of each are needed."
        reasons |= {"verification.auc": few, "verification.eer": few}
    for r, at in found.at_rate.items():
        if at is None:
            reasons[f"verification.tmr_at_fmr.{rate(r)}"] = (
                f"Not enough pairs: {non_mated:,} of two people; {round(metrics.LEAST_EVENTS / r):,} are needed."
            )
    return reasons


def differences(first: Measured, other: Measured) -> Mapping[str, Any]:
    """The TMR of *other* minus that of *first* at each FMR, over the same draws of people."""
    said: dict[str, Any] = {"tmr_at_fmr": {}, "tmr_at_fmr_interval": {}}
    for r, at in first.verified.at_rate.items():
        beside = other.verified.at_rate.get(r)
        if at is None or beside is None:
            continue
        said["tmr_at_fmr"][rate(r)] = _rounded(beside.tmr - at.tmr)
        apart = other.verified.draws[r] - first.verified.draws[r]
        said["tmr_at_fmr_interval"][rate(r)] = _interval(bootstrap.interval(apart))
    return said


def _rounded(value: float | None, digits: int = 6) -> float | None:
    return None if value is None else round(float(value), digits)


def _interval(interval: Interval | None, digits: int = 6) -> list[float] | None:
    return None if interval is None else [round(each, digits) for each in interval]
