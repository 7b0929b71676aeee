"""Models: what recognises here, how well, what its similarities stand for, and putting another one in its place."""

from collections.abc import Mapping, Sequence
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from services import licences, thresholds
from services.catalog import calibrations, computations, evaluations
from services.catalog import models as catalog_models
from services.catalog.importing import jobs
from services.catalog.rebuilding import findings, kept, rebuilds
from services.catalog.schema import Calibration, Collection, Evaluation
from services.errors import InvalidRequest
from services.gateway import answers
from services.gateway.console import calibration_plot, model_words, reasons
from services.gateway.console.pages import collection, page
from services.gateway.doors import collection_of, gateway
from services.gateway.guarding.auth import may_touch
from services.gateway.modelling import calibrations as calibration_answers
from services.gateway.modelling import rebuild_answers
from services.gateway.modelling.model_answers import running_of, uses_of

_REBUILDS, _EVALUATIONS, _FINDINGS, _JOBS = 10, 5, 50, 30
_COMPUTED = {computations.EVALUATION, computations.CALIBRATION, computations.QUANTISATION, computations.TRAINING}


@page("/models", "read")
def models() -> ResponseReturnValue:
    """Everything about models that concerns the collection; what is begun here goes over ``/v1``."""
    with gateway().catalog.reading() as session:
        mine = collection_of(session, collection())
        told = _models(session)
        return render_template(
            "models.html",
            words=model_words.words(),
            models=told,
            active=_active(session, told, mine),
            generations=_generations(session, mine),
            rebuild=rebuild_answers.under_way_out(session, mine),
            rebuilds=_rebuilds(session, mine),
            calibration=_calibration(session, mine),
            evaluations=[_evaluation(*row) for row in evaluations.page(session, mine.id, limit=_EVALUATIONS)],
            computing=_computing(session, mine),
            failed=_failed(session, mine),
            stages=model_words.stages(),
            built_in=rebuild_answers.BUILT_IN,
        )


@page("/models/rebuilds/<rebuild_id>", "read")
def rebuild(rebuild_id: str) -> ResponseReturnValue:
    """One rebuild: how far it is, how the two compare, and what may be done about it."""
    with gateway().catalog.reading() as session:
        mine = collection_of(session, collection())
        row = rebuilds.shown(session, mine.id, rebuild_id)
        told = rebuild_answers.whole_rebuild_out(session, row, mine)
        found = findings.page(session, row, limit=_FINDINGS)
        return render_template(
            "rebuild.html",
            words=model_words.words(),
            rebuild=told,
            findings=[rebuild_answers.finding_out(each) for each in found],
            stopped=model_words.stopped(told),
            why=None if told["problem"] is None else reasons.of_problem(told["problem"]),
            stages=model_words.stages(),
            review_url="/review",
            is_searched=row.generation_id == mine.generation_id,
        )


def _models(session: Session) -> list[dict[str, Any]]:
    running = running_of(session)
    return [
        {
            **answers.model_out(model),
            "licence": "" if model.licence == licences.NOT_STATED else model.licence,
            "running": running[model.digest],
            "uses": uses_of(session, model),
            "kept": [
                {"collection": one.collection.name, "embeddings": one.embeddings, "active": one.is_active}
                for one in kept.of_model(session, model)
                if may_touch(one.collection.name)
            ],
        }
        for model in catalog_models.all_of(session)
    ]


def _active(session: Session, told: Sequence[Mapping[str, Any]], mine: Collection) -> Mapping[str, Any] | None:
    """The embedder that the collection is searched with, and its detector's name."""
    if mine.model_id is None:
        return None
    model = catalog_models.by_id(session, mine.model_id)
    found = next(one for one in told if one["id"] == model.public_id)
    return {**found, "detector": rebuild_answers.detector_name(session, mine.detector_id)}


def _generations(session: Session, mine: Collection) -> list[dict[str, Any]]:
    held = kept.of_collection(session, mine)
    times = [answers.time_of(one.generation.created_at) for one in held]
    told = rebuild_answers.generations_out(session, held)
    return [{**one, "created_at": at} for one, at in zip(told, times, strict=True)]


def _rebuilds(session: Session, mine: Collection) -> list[dict[str, Any]]:
    found = rebuilds.page(session, mine.id, limit=_REBUILDS)
    return [rebuild_answers.rebuild_out(session, row, mine) for row in found]


def _calibration(session: Session, mine: Collection) -> dict[str, Any] | None:
    """What the calibration of the present generation says, and where searches decide by it."""
    row = None if mine.generation_id is None else calibrations.of(session, mine.generation_id)
    decision = _decision(session, mine, row)
    if row is None:
        return None if decision is None else {"decision": decision, "told": None, "plot": None}
    people = gateway().known.people(session, mine)
    drawn = calibration_plot.plot(row.curves, people, None if decision is None else decision.threshold)
    return {"decision": decision, "told": calibration_answers.told(session, mine, row), "plot": drawn}


def _decision(session: Session, mine: Collection, row: Calibration | None) -> thresholds.Decision | None:
    """Where searches decide when nothing is said; None where neither a calibration nor the model tells."""
    if mine.model_id is None or mine.generation_id is None:
        return None
    known = gateway().known
    table = known.model(session, mine.model_id).details.get("thresholds", {})
    calibrated = None if row is None else known.calibration(session, mine.generation_id)
    try:
        return thresholds.of_search(calibrated, table, known.people(session, mine))
    except InvalidRequest:
        return None


def _evaluation(row: Evaluation, job: str | None) -> dict[str, Any]:
    """Its main figures, a row a model."""
    figures = row.figures
    return {
        "id": row.public_id,
        "job": job,
        "has_report": row.report_key is not None,
        "created_at": answers.time_of(row.created_at),
        "source": figures.get("source", {}),
        "models": [{"name": one["name"], **_main(one)} for one in figures.get("models", [])],
    }


def _main(one: Mapping[str, Any]) -> dict[str, Any]:
    verification, identification = one.get("verification") or {}, one.get("identification") or {}
    return {
        "tmr": (verification.get("tmr_at_fmr") or {}).get("1e-3"),
        "rank1": identification.get("rank1"),
        "fnir_10": (identification.get("fnir_at_fpir") or {}).get("1e-1"),
        "fnir_1": (identification.get("fnir_at_fpir") or {}).get("1e-2"),
    }


def _computing(session: Session, mine: Collection) -> list[dict[str, Any]]:
    """Computations of the collection that have not ended."""
    return [
        {"job": job.public_id, "kind": job.kind, "state": computation.state, "progress": computation.progress or {}}
        for job, computation, whose in computations.unfinished(session)
        if whose.id == mine.id and job.kind in _COMPUTED
    ]


def _failed(session: Session, mine: Collection) -> list[dict[str, Any]]:
    """The last computation of each kind, where it has failed."""
    last: dict[str, Any] = {}
    for job in jobs.page(session, mine.id, limit=_JOBS):
        if job.kind in _COMPUTED and job.kind not in last:
            last[job.kind] = job
    found = []
    for job in last.values():
        progress = jobs.progress(session, job)
        if progress.state == "failed" and progress.computation is not None:
            explained = reasons.of_problem(progress.computation.problem or "internal")
            at = answers.time_of(progress.finished_at)
            found.append(
                {"job": job.public_id, "kind": job.kind, "why": str(explained), "said": job.error, "finished_at": at}
            )
    return found
