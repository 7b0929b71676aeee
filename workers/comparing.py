"""Comparing: what searches would answer under a new model or detection, beside what they answer now, before it goes live."""

import json
from collections.abc import Mapping
from typing import Any

from services import thresholds
from services.calibrated import Calibrated
from services.errors import InvalidRequest
from workers.evaluation import bootstrap, calibration, policy, shadow, shadow_figures, shadow_report, shadow_worst
from workers.evaluation.shadow import Asked, Shadow, Side
from workers.workbench import Enrolled, Workbench

REPORT, FIGURES = "report.html", "figures.json"
_TOO_FEW = "Enrol more people, or choose a model that brings thresholds."


def compare(wanted: Mapping[str, Any], bench: Workbench) -> dict[str, Any]:
    """Compare two generations of a collection, and calibrate the new one.

    Args:
        wanted: ``before``, ``after``: numbers of generations. ``rebuild``: public id of the one that made the second: the report
            says what its policy says. ``thumbnails``: whether the report shows faces (true). ``draws`` of the bootstrap (1000), ``seed`` (0).
        bench: What is at hand. Keeps ``report.html`` and ``figures.json``.

    Returns:
        ``before`` and ``after`` (models and detectors), ``faces`` and ``sample`` (what was compared), ``gallery`` and
        ``queries`` (overlap, scores, decisions), ``accuracy`` (of both, with intervals of the difference), ``decides``
        (thresholds), ``calibration`` (of the new one), ``worst`` (ids of faces), ``findings`` (counts, by kind),
        ``not_said`` (why what is null is null).

    Raises:
        NotFound: A generation is gone.
        InvalidRequest: No generations are named, or the bench has no collection.
        Cancelled: Nobody wants the rest.
    """
    draws, seed = int(wanted.get("draws", bootstrap.DRAWS)), int(wanted.get("seed", 0))
    before, after = wanted.get("before"), wanted.get("after")
    if not isinstance(before, int) or not isinstance(after, int):
        raise InvalidRequest(
            "before and after: the numbers of two generations. A rebuild asks for its comparison itself."
        )
    bench.tell({"stage": "faces"})
    pair = bench.shadow(before, after, rebuild=wanted.get("rebuild"), seed=seed)
    fitted = _calibrated(pair, bench)
    curves = (pair.before.curves, fitted.get("curves"))
    decides = [_decides(side, each, side.people) for side, each in zip((pair.before, pair.after), curves, strict=True)]
    asked = shadow.asked(pair, seed=seed, told=lambda done, total: _tell(bench, "searches", done, total))
    # Searches here are among the sample, and are decided at its size.
    at = [_decides(side, each, asked.everybody) for side, each in zip((pair.before, pair.after), curves, strict=True)]
    levels = (at[0]["threshold"], at[1]["threshold"])
    bench.tell({"stage": "figures"})
    result = _figures(pair, asked, levels, draws=draws, seed=seed) | {
        "decides": {"before": decides[0], "after": decides[1]},
        "calibration": {what: told for what, told in fitted.items() if what != "curves"},
    }
    bench.tell({"stage": "report"})
    lists = shadow_worst.worst(pair, asked, levels) if asked.everybody > 1 else {}
    seen = pair.look(shadow_worst.faces_of(lists))
    ids = {number: (face.face_id, face.person_id) for number, face in seen.items()}
    result |= {"worst": shadow_worst.of_figures(lists, ids), "how": {"draws": draws, "seed": seed}}
    against = policy.stopped_by(result, pair.limits)
    drawn = shadow_report.Report(
        str(wanted.get("collection") or "The collection"),
        result,
        against,
        asked,
        levels,
        lists,
        seen,
        thumbnails=bool(wanted.get("thumbnails", True)),
    )
    _keep(drawn, result, bench)
    return result


def _calibrated(pair: Shadow, bench: Workbench) -> dict[str, Any]:
    """The calibration of the new generation, kept; or why there is none. Of a large gallery it is fitted on the sample."""
    whole = {"people": pair.all_people, "faces": pair.all_faces}
    try:
        fitted = calibration.fit(
            pair.after.vectors, pair.people, told=lambda done, total: _tell(bench, "calibration", done, total)
        )
    except InvalidRequest as error:
        return {**whole, "lines": [], "rows": [], "why_not": str(error)}
    curves = {**fitted.curves(), **whole, "epoch": pair.epoch}
    bench.calibrated(
        Enrolled(pair.after.generation, pair.after.vectors, pair.people, pair.epoch, pair.sequence), curves
    )
    read = Calibrated(curves)
    return {
        **whole,
        "lines": read.lines(),
        "rows": read.told(),
        "why_not": None,
        "curves": curves,
    }


def _decides(side: Side, curves: Mapping[str, Any] | None, people: int) -> dict[str, Any]:
    """From which similarity a search of *side* accepts in a gallery of *people*, by whom, or why it cannot."""
    calibrated = None if curves is None else Calibrated(curves)
    try:
        decision = thresholds.of_search(calibrated, side.thresholds, people)
    except InvalidRequest as error:
        why_not = str(error) if calibrated is None else _lacking(calibrated, people)
        return {"threshold": None, "by": None, "why_not": f"{why_not} {_TOO_FEW}"}
    return {"threshold": round(decision.threshold, 6), "by": decision.by, "why_not": None}


def _lacking(calibrated: Calibrated, people: int) -> str:
    """What a calibration lacks for the rate that searches decide at, which the model brings no threshold for."""
    try:
        calibrated.at_fpir(thresholds.DEFAULT_FPIR, people)
    except InvalidRequest as error:
        few = str(error).partition(": ")[2]
        return f"the model brings no threshold for 5% strangers named, and of its calibration here it is said: {few}"
    return ""


def _figures(pair: Shadow, asked: Asked, levels: shadow_figures.Thresholds, *, draws: int, seed: int) -> dict[str, Any]:
    measured, why = shadow_figures.accuracy(pair, asked, draws=draws, seed=seed)
    result: dict[str, Any] = {
        "before": _about(pair.before),
        "after": _about(pair.after),
        "faces": {
            "both": pair.all_faces,
            "only_before": max(pair.before.faces - pair.all_faces, 0),
            "only_after": max(pair.after.faces - pair.all_faces, 0),
        },
        "people": pair.all_people,
        "sample": {
            "people": asked.everybody,
            "faces": len(pair.people),
            "whole": len(pair.people) == pair.all_faces,
        },
        "gallery": shadow_figures.of_gallery(asked, levels),
        "queries": shadow_figures.of_queries(asked, levels),
        "accuracy": measured,
        "findings": dict(pair.findings),
        "not_said": why,
    }
    result["not_said"] |= shadow_figures.unsaid(asked, result)
    return result


def _about(side: Side) -> dict[str, Any]:
    return {
        "generation": side.generation,
        "model": side.model,
        "name": side.name,
        "digest": side.digest,
        "dimension": side.dimension,
        "detector": side.detector,
        "people": side.people,
        "faces": side.faces,
    }


def _keep(report: shadow_report.Report, result: Mapping[str, Any], bench: Workbench) -> None:
    folder = bench.folder / "report"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT).write_text(shadow_report.html(report), "utf-8")
    (folder / FIGURES).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
    for name in (REPORT, FIGURES):
        bench.keep(name, folder / name)


def _tell(bench: Workbench, stage: str, done: int, total: int) -> None:
    bench.tell({"stage": stage, "done": done, "total": total})
