"""What the gateway answers, as OpenAPI documents it, and how rows become it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field

from services import licences
from services.catalog import models
from services.catalog.importing.jobs import Progress
from services.catalog.people import PersonRow
from services.catalog.schema import Face, Item, Job, Model, Person, Photo
from services.gateway.doors import key


def time_of(seconds: float | None) -> str | None:
    """A time of the catalog as RFC 3339 in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class BoxOut(BaseModel):
    """A box in full-resolution pixels."""

    x: float
    y: float
    w: float
    h: float


class PersonRef(BaseModel):
    """Who somebody is."""

    id: str
    name: str
    external_id: str | None


class PersonOut(PersonRef):
    """A person."""

    attributes: dict[str, str]
    faces: int
    face_id: str | None = Field(description="One of their faces, for a picture.")
    created_at: str
    expires_at: str | None = Field(description="When they are erased of themselves, where that was said of them.")


class FaceOut(BaseModel):
    """A face of a photo. Without a chip only its box and score were kept."""

    id: str
    photo_id: str
    person: PersonRef | None
    box: BoxOut
    landmarks: list[list[float]] | None
    score: float
    quality: dict[str, float] | None
    has_chip: bool
    detection_rule: str
    created_at: str


class PhotoOut(BaseModel):
    """A photo that is kept."""

    id: str
    sha256: str
    size_bytes: int
    format: str
    width: int | None
    height: int | None
    name: str
    state: str
    reason: str | None
    faces: list[FaceOut]
    created_at: str


class JobOut(BaseModel):
    """How far a job got."""

    id: str
    kind: str
    state: str = Field(description="open, queued, running, done, failed or cancelled")
    source: str
    total: int
    received: int = Field(description="How many photos of an import have come in; `total` are expected.")
    done: int
    duplicate: int
    cancelled: int
    rejected: int
    rate: float | None = Field(description="Items a second.")
    eta_s: float | None
    sequence: int | None = Field(description="For `after=`: what ended so far is found from here on.")
    error: str | None
    problem: str | None = Field(description="Of a computation that failed: the type of its problem.")
    progress: dict[str, Any] | None = Field(description="Of a computation: what it told last.")
    created_at: str
    finished_at: str | None


class ItemOut(BaseModel):
    """One photo of a job."""

    name: str
    person: PersonRef | None
    status: str
    reason: str | None
    detail: str | None
    photo_id: str | None
    has_thumbnail: bool
    faces: int | None
    sequence: int | None


class TakenOut(BaseModel):
    """What became of one upload."""

    name: str
    photo_id: str | None
    sha256: str
    status: str
    reason: str | None = None


class AcceptedOut(BaseModel):
    """Photos that were taken in; the job tells when their faces can be found."""

    job: str
    items: list[TakenOut]


class ModelOut(BaseModel):
    """A model as data."""

    id: str
    kind: str
    name: str
    digest: str
    state: str
    dimension: int | None
    licence: str
    permissive: bool = Field(description="The licence is plainly permissive; another one has to be accepted.")
    accepted: dict[str, Any] | None = Field(description="Who has accepted the licence, and when.")
    int8: dict[str, Any] | None = Field(
        description="What 8 bits cost: cosine to fp32, TMR where it was measured; or why not."
    )
    head: dict[str, Any] | None = Field(
        description="What its Siamese head was trained on, for which verify says a probability; null without one."
    )
    error: str | None
    created_at: str


class JobRef(BaseModel):
    """Where to ask how far it is."""

    job: str


class Changed(BaseModel):
    """A change of what can be searched; give `sequence` as `after` to see it."""

    sequence: int


def person_ref(person: Person | None) -> dict[str, Any] | None:
    """See :class:`PersonRef`."""
    if person is None:
        return None
    return {"id": person.public_id, "name": person.name, "external_id": person.external_id}


def person_out(row: PersonRow) -> dict[str, Any]:
    """See :class:`PersonOut`."""
    person = row.person
    return {
        **(person_ref(person) or {}),
        "attributes": person.attributes,
        "faces": row.faces,
        "face_id": row.face_id,
        "created_at": time_of(person.created_at),
        "expires_at": time_of(person.expires_at),
    }


def box_out(box: Sequence[float]) -> dict[str, float]:
    """See :class:`BoxOut`."""
    return dict(zip("xywh", (round(side, 2) for side in box), strict=True))


def face_out(face: Face, photo: Photo, person: Person | None) -> dict[str, Any]:
    """See :class:`FaceOut`."""
    return {
        "id": face.public_id,
        "photo_id": photo.public_id,
        "person": person_ref(person),
        "box": box_out(face.box),
        "landmarks": face.landmarks,
        "score": face.score,
        "quality": face.quality,
        "has_chip": face.chip_key is not None,
        "detection_rule": face.rule,
        "created_at": time_of(face.created_at),
    }


def photo_out(photo: Photo, faces: Sequence[Face], people: Mapping[int, Person]) -> dict[str, Any]:
    """See :class:`PhotoOut`."""
    return {
        "id": photo.public_id,
        "sha256": photo.sha256,
        "size_bytes": photo.size_bytes,
        "format": photo.format,
        "width": photo.width_px,
        "height": photo.height_px,
        "name": photo.source_name,
        "state": photo.state,
        "reason": photo.reason,
        "faces": [face_out(face, photo, people.get(face.person_id or 0)) for face in faces],
        "created_at": time_of(photo.created_at),
    }


def job_out(job: Job, progress: Progress) -> dict[str, Any]:
    """See :class:`JobOut`."""
    computation = progress.computation
    return {
        "id": job.public_id,
        "kind": job.kind,
        "state": progress.state,
        "source": job.source,
        "total": progress.total,
        "received": progress.received,
        "done": progress.done,
        "duplicate": progress.duplicate,
        "cancelled": progress.cancelled,
        "rejected": progress.rejected,
        "rate": progress.rate,
        "eta_s": progress.eta_s,
        "sequence": progress.sequence,
        "error": job.error,
        "problem": None if computation is None else computation.problem,
        "progress": None if computation is None else computation.progress,
        "created_at": time_of(job.created_at),
        "finished_at": time_of(progress.finished_at),
    }


def item_out(item: Item, photo: Photo | None, person: Person | None) -> dict[str, Any]:
    """See :class:`ItemOut`. An item that waits for its bytes is still queued to whoever asks."""
    return {
        "name": item.name,
        "person": person_ref(person),
        "status": "queued" if item.state == "waiting" else item.state,
        "reason": item.reason,
        "detail": item.detail,
        "photo_id": None if photo is None else photo.public_id,
        "has_thumbnail": photo is not None and photo.thumbnail_key is not None,
        "faces": item.faces,
        "sequence": item.sequence,
    }


def model_out(model: Model) -> dict[str, Any]:
    """See :class:`ModelOut`."""
    accepted, head = models.accepted(model), models.head_of(model)
    is_limited = (
        key().collections is not None
    )  # Who uses it elsewhere, and on whom it was trained, is not for such a key.
    return {
        "id": model.public_id,
        "kind": model.kind,
        "name": model.name,
        "digest": model.digest,
        "state": model.state,
        "dimension": model.dimension,
        "licence": model.licence,
        "permissive": licences.is_permissive(model.licence),
        "accepted": None
        if accepted is None
        else {"by": "" if is_limited else accepted["by"], "at": time_of(accepted["at"])},
        "int8": model.details.get("variants", {}).get("int8"),
        "head": None if head is None else {} if is_limited else head.get("trained_on", {}),
        "error": model.details.get("error"),
        "created_at": time_of(model.created_at),
    }
