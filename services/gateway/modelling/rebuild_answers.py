"""What the gateway answers of rebuilds, as OpenAPI documents it, and how rows become it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import generations, models
from services.catalog.rebuilding import findings as rebuild_findings
from services.catalog.rebuilding import rebuilds
from services.catalog.rebuilding.kept import Kept
from services.catalog.running import readiness
from services.catalog.schema import Collection, Generation, Model
from services.catalog.tables.rebuild import Finding, Rebuild
from services.gateway.answers import time_of

BUILT_IN = "mtcnn"
"""How the detector is called that has no file."""


class GenerationOut(BaseModel):
    """A model and a detection of a collection's faces: what a search looks in, whole."""

    model: str
    detector: str
    round: int = Field(description="A round is one detection of all photos.")
    state: str = Field(description="building, prepared or dropped (its embeddings are being removed)")
    active: bool = Field(description="Searches look in it.")
    embeddings: int


class BeforeOut(BaseModel):
    """What was searched when a rebuild began."""

    model: str | None = Field(description="null where that is gone by now.")
    detector: str | None
    kept: bool = Field(description="It is complete and held ready: a rollback returns to it at once.")


class ProgressOut(BaseModel):
    """How far re-embedding is."""

    total: int = Field(description="Faces (from chips) or photos (raw) to be worked on.")
    done: int
    faces: int = Field(description="Faces that are in the new generation by this.")
    rate: float | None = Field(description="Of total, a second, over the last half minute.")
    eta_s: float | None


class RebuildOut(BaseModel):
    """A collection made anew under another model or detector."""

    id: str
    collection: str
    state: str = Field(
        description="planning, embedding, paused, comparing, ready, stopped (by the policy), switching, switched, "
        "rolled_back, failed, cancelled or pruned"
    )
    settled: bool = Field(description="Nothing more happens unless somebody asks.")
    model: str
    detector: str
    before: BeforeOut
    source: str = Field(
        description="chips, raw, mixed, or none where it was kept ready; before the plan, what was asked."
    )
    switch: str = Field(description="auto: at once where it compares well; manual: when somebody asks.")
    progress: ProgressOut
    findings: dict[str, int] = Field(description="By kind, faces and photos that could not simply be carried over.")
    waiting_for: list[str] = Field(description="The processes that the switch waits for.")
    has_report: bool
    asked_by: str
    error: str | None
    problem: str | None = Field(description="The type of what ended it.")
    created_at: str
    embedding_at: str | None
    embedded_at: str | None
    switched_at: str | None
    finished_at: str | None


class WholeRebuildOut(RebuildOut):
    """A rebuild with what was asked, its plan and how it compares."""

    parameters: dict[str, Any]
    plan: dict[str, Any] | None
    comparison: dict[str, Any] | None
    comparison_job: str | None


class RebuildPage(BaseModel):
    """Rebuilds, newest first."""

    items: list[RebuildOut]
    next_cursor: str | None


class RebuildRef(BaseModel):
    """Where to ask how far it is."""

    rebuild: str


class FindingOut(BaseModel):
    """A face or a photo that could not simply be carried over."""

    number: int
    kind: str = Field(
        description="missing, unreadable, crashed, kept (not found again) or ambiguous (found more than once)"
    )
    photo_id: str | None
    face_id: str | None
    object_key: str | None
    candidates: list[str] = Field(description="Of an ambiguous one: the faces that it may be.")
    decided: str | None = Field(description="The candidate that was chosen, or the face itself: none of them.")


class FindingPage(BaseModel):
    """Findings, in the order they were made."""

    items: list[FindingOut]
    next_cursor: str | None


def rebuild_out(session: Session, rebuild: Rebuild, collection: Collection) -> dict[str, Any]:
    """See :class:`RebuildOut`."""
    progress = rebuilds.progress(session, rebuild)
    return {
        "id": rebuild.public_id,
        "collection": collection.name,
        "state": rebuild.state,
        "settled": is_settled(rebuild),
        "model": models.by_id(session, rebuild.model_id).name,
        "detector": detector_name(session, rebuild.detector_id),
        "before": _before(session, rebuild),
        "source": (rebuild.plan or {}).get("source") or rebuild.parameters.get("source", "auto"),
        "switch": rebuild.parameters.get("switch", rebuilds.AUTO),
        "progress": {
            "total": progress.total,
            "done": progress.done,
            "faces": progress.faces,
            "rate": None if progress.rate is None else round(progress.rate, 2),
            "eta_s": None if progress.eta_s is None else round(progress.eta_s, 1),
        },
        "findings": rebuild_findings.counted(session, rebuild),
        "waiting_for": _waited_for(session, rebuild),
        "has_report": rebuild.comparison is not None,
        "asked_by": rebuild.asked_by,
        "error": rebuild.error,
        "problem": rebuild.problem,
        "created_at": time_of(rebuild.created_at),
        "embedding_at": time_of(rebuild.embedding_at),
        "embedded_at": time_of(rebuild.embedded_at),
        "switched_at": time_of(rebuild.switched_at),
        "finished_at": time_of(rebuild.finished_at),
    }


def whole_rebuild_out(session: Session, rebuild: Rebuild, collection: Collection) -> dict[str, Any]:
    """See :class:`WholeRebuildOut`."""
    return {
        **rebuild_out(session, rebuild, collection),
        "parameters": rebuild.parameters,
        "plan": rebuild.plan,
        "comparison": rebuild.comparison,
        "comparison_job": rebuild.comparison_job,
    }


def is_settled(rebuild: Rebuild) -> bool:
    """Whether nothing more happens unless somebody asks. One that is paused is still under way."""
    moves_on = rebuild.state == "ready" and rebuild.parameters.get("switch", rebuilds.AUTO) == rebuilds.AUTO
    return not (moves_on or rebuild.state in {*rebuilds.MOVING, "paused"})


def under_way_out(session: Session, collection: Collection) -> dict[str, Any] | None:
    """The rebuild of a collection that is under way, see :class:`RebuildOut`; None where there is none."""
    found = rebuilds.current(session, collection.id)
    return None if found is None else rebuild_out(session, found, collection)


def finding_out(finding: Finding) -> dict[str, Any]:
    """See :class:`FindingOut`."""
    return {
        "number": finding.id,
        "kind": finding.kind,
        "photo_id": finding.photo_id,
        "face_id": finding.face_id,
        "object_key": finding.object_key,
        "candidates": finding.candidates,
        "decided": finding.decided,
    }


def generations_out(session: Session, held: Sequence[Kept]) -> list[dict[str, Any]]:
    """See :class:`GenerationOut`."""
    return [
        {
            "model": models.by_id(session, one.generation.model_id).name,
            "detector": detector_name(session, one.generation.detector_id),
            "round": one.generation.round,
            "state": one.generation.state,
            "active": one.is_active,
            "embeddings": one.embeddings,
        }
        for one in held
    ]


def detector_name(session: Session, detector_id: int | None) -> str:
    """How a detector is called."""
    return BUILT_IN if detector_id is None else models.by_id(session, detector_id).name


def _before(session: Session, rebuild: Rebuild) -> Mapping[str, Any]:
    before = session.get(Generation, rebuild.from_generation)
    model = None if before is None else session.get(Model, before.model_id)
    return {
        "model": None if model is None else model.name,
        "detector": None if before is None else detector_name(session, before.detector_id),
        "kept": before is not None and before.state == generations.PREPARED,
    }


def _waited_for(session: Session, rebuild: Rebuild) -> list[str]:
    """Asked anew, since whoever conducts looks only now and then."""
    made = None if rebuild.generation_id is None else session.get(Generation, rebuild.generation_id)
    return readiness.unready(session, made) if rebuild.state == "switching" and made is not None else []
