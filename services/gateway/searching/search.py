"""Search: who is in a photo. The catalog has the last word on who each face is."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flask import request
from flask.typing import ResponseReturnValue
from flask_openapi import FileStorage
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from services import heads, thresholds
from services.broker.requests import Answer, Search
from services.broker.shadows import Shadow
from services.calibrated import Calibrated
from services.catalog import faces, models
from services.catalog.rebuilding import rebuilds
from services.catalog.schema import Collection, Model
from services.errors import Conflict, InvalidRequest
from services.gateway import problems, uploads
from services.gateway.auditing import requests as auditing
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway
from services.gateway.guarding.admission import admitted
from services.gateway.observing import metrics
from services.gateway.searching import matches, rejected, vectors

MORE_THAN_ASKED = 5
"""Persons asked for beyond *k*: some may be gone by the time the catalog is asked."""

_MOST_FILTERS, _LONGEST_ATTRIBUTE = 8, 1024

resource = Resource("search", "Who is this?")


class SearchQuery(InCollection):
    """How to search."""

    k: int = Field(default=5, ge=1, le=100, description="How many of the nearest persons to list for each face.")
    threshold: float | None = Field(
        default=None, ge=-1, le=1, allow_inf_nan=False, description="Accept from this cosine."
    )
    fmr: float | None = Field(default=None, gt=0, lt=1, description="Accept at this false-match rate.")
    fpir: float | None = Field(
        default=None, gt=0, lt=1, description="Accept at this false-positive identification rate."
    )
    after: int | None = Field(default=None, ge=0, lt=2**63, description="Reflect the log up to this sequence number.")
    mode: Literal["balanced", "thorough", "frame"] = Field(
        default="balanced",
        description="How hard to look: `thorough` also finds small faces of large groups, in several times the time; `frame` is for "
        "one of many frames of a camera: a single look, upright, at faces from five percent of the long side.",
    )
    rerank: bool = Field(
        default=False,
        description="Order the nearest k + 5 persons by the probability that the model's Siamese head gives, accepted ones "
        "first, before k are listed. Similarity decides what is accepted, as ever.",
    )
    unique: bool = Field(default=True, description="Name one person at most once in a photo.")
    preview: int | None = Field(
        default=None,
        ge=64,
        le=2048,
        description="Also answer with the photo as it was looked at, upright, as a JPEG with at most so many pixels a side: for "
        "programs that cannot show what they have sent, such as browsers a HEIC.",
    )
    where: list[str] = Field(
        default_factory=list,
        max_length=_MOST_FILTERS,
        description="Look only among people with this attribute, `department=Research`; of several all must hold.",
    )


class SearchForm(BaseModel):
    """The photo, as multipart/form-data. It is looked at in memory and forgotten."""

    model_config = ConfigDict(extra="forbid")
    photo: FileStorage


class FaceBody(Taken):
    """Instead of a photo: a face that is kept."""

    face_id: str = Field(max_length=64)


class SearchOut(BaseModel):
    """Who is in the photo."""

    model: str
    variant: str | None
    sequence: int
    threshold: float
    decided_by: thresholds.By = Field(description="Who gave the threshold: the request, the calibration or the model.")
    took_ms: dict[str, float]
    width: int | None = Field(
        description="Of the photo, upright, in the pixels that the boxes are in. Null of a kept face."
    )
    height: int | None
    preview: str | None = Field(description="The photo as a JPEG, base64, where one was asked for.")
    faces: list[matches.FoundFace]


@dataclass(frozen=True, slots=True)
class Gallery:
    """What a search goes by, read at its start: whatever is switched meanwhile, all of the answer comes from here."""

    collection: Collection
    generation: int
    """What it looks in; the next four are its own."""
    round: int
    model: Model
    detector: str | None
    """Digest of the detector's file."""
    calibrated: Calibrated | None
    people: int
    shadow: Shadow | None
    """Under which other model the query is to be kept, too."""


@resource.door("post", "/search", "search", in_memory=True, responses={200: SearchOut})
def search(query: SearchQuery) -> ResponseReturnValue:
    """Who is in a photo (multipart `photo`), or whom a kept face is like (JSON `{"face_id": …}`).

    Whom somebody said that a face is not (`POST /v1/faces/{id}/reject`) is left out: for a kept face, and for a photo with the very
    bytes of one that is kept.
    """
    gallery = gallery_of(query.collection)
    decision = thresholds.of_search(
        gallery.calibrated,
        gallery.model.details.get("thresholds", {}),
        gallery.people,
        threshold=query.threshold,
        fmr=query.fmr,
        fpir=query.fpir,
    )
    where, head = _filter(query.where), _head(gallery.model) if query.rerank else None

    def asked(but: rejected.Rejected) -> Search:
        count = query.k + MORE_THAN_ASKED + but.most
        return Search(gallery.collection.id, gallery.generation, count, query.after, where=where, head=head)

    if request.is_json:
        try:
            face_id = FaceBody.model_validate(request.get_json()).face_id
        except ValidationError as error:
            return problems.invalid(error)
        vector = vector_of(gallery, face_id)
        but = rejected.of_face(face_id)
        with admitted():
            started = time.perf_counter()
            answer = gateway().asking.search(
                [vector], asked(but), model=gallery.model.digest, timeout_s=gateway().limits.search_timeout_s
            )
            metrics.searched(answer, time.perf_counter() - started)
    else:
        photo = uploads.query_photo()
        but = rejected.of_photo(photo, gallery.collection.id, gallery.round)
        answer = look(
            gallery,
            [photo],
            model=gallery.model.digest,
            mode=query.mode,
            search=asked(but),
            shadow=gallery.shadow,
            preview_px=query.preview,
        )
    found = matches.named(answer, query.k, decision.threshold, gallery.calibrated, unique=query.unique, rejected=but)
    auditing.note_found(found, decision.threshold, is_frame=query.mode == "frame")
    metrics.decided(found, gallery.collection.id, gallery.calibrated, gallery.people)
    return {
        "model": answer["model"],
        "variant": answer["variant"],
        "sequence": answer["sequence"],
        "threshold": decision.threshold,
        "decided_by": decision.by,
        "took_ms": timings(answer),
        **{part: answer["photos"][0].get(part) for part in ("width", "height", "preview")},
        "faces": found,
    }


def _filter(where: Sequence[str]) -> dict[str, str] | None:
    """The attributes that people must have; None where nothing is asked.

    Raises:
        InvalidRequest: One is not `name=value`, is too long, or asks for two values of one attribute.
    """
    wanted: dict[str, str] = {}
    for each in where:
        name, equals, value = each.partition("=")
        if not (name and equals) or len(each) > _LONGEST_ATTRIBUTE:
            raise InvalidRequest("where: give an attribute and its value, as in where=department=Research.")
        if wanted.setdefault(name, value) != value:
            raise InvalidRequest(f"where: nobody has two values of {name}; give one.")
    return wanted or None


def _head(model: Model) -> dict[str, Any]:
    """What the searcher needs of the model's Siamese head.

    Raises:
        Conflict: It has none.
    """
    held = models.head_of(model)
    if held is None:
        raise Conflict(
            f"Model {model.name} has no Siamese head to re-rank by. Train one (colega train --method siamese), and attach it: "
            "colega models attach."
        )
    return heads.for_searcher(held)


def gallery_of(name: str) -> Gallery:
    """The collection with the generation that it is searched in now.

    Raises:
        Conflict: It has no model yet.
    """
    with gateway().catalog.reading() as session:
        collection = collection_of(session, name)
        if collection.generation_id is None or collection.model_id is None:
            raise Conflict("This collection has no model yet: the workers have not been prepared.")
        known = gateway().known
        model = known.model(session, collection.model_id)
        detector = None if collection.detector_id is None else known.model(session, collection.detector_id).digest
        return Gallery(
            collection,
            collection.generation_id,
            collection.round,
            model,
            detector,
            known.calibration(session, collection.generation_id),
            known.people(session, collection),
            _shadow(session, collection),
        )


def _shadow(session: Session, collection: Collection) -> Shadow | None:
    """The model that a rebuild under way is to be compared with, where queries are kept for that."""
    most = gateway().limits.shadow_queries
    if not most or len(collection.live) < 2:
        return None
    rebuild = rebuilds.current(session, collection.id)
    if rebuild is None or rebuild.generation_id in {None, collection.generation_id}:
        return None
    digest = gateway().known.model(session, rebuild.model_id).digest
    return Shadow(collection.id, rebuild.generation_id, digest, most)


def look(
    gallery: Gallery,
    photos: list[bytes],
    *,
    model: str | None,
    mode: str = "balanced",
    search: Search | None = None,
    shadow: Shadow | None = None,
    preview_px: int | None = None,
) -> Answer:
    """Have faces found in *photos* as the gallery's are, with vectors where *model* is named and hits where *search* is given.

    Raises:
        TooManyRequests, Unavailable: As :func:`admitted`; or nobody answers in time.
    """
    with admitted():
        started = time.perf_counter()
        answer = gateway().asking.look(
            photos,
            mode=mode,
            detector=gallery.detector,
            model=model,
            search=search,
            shadow=shadow,
            preview_px=preview_px,
            timeout_s=gateway().limits.search_timeout_s,
        )
        if search is not None:
            metrics.searched(answer, time.perf_counter() - started)
        return answer


def vector_of(gallery: Gallery, face_id: str) -> str:
    """The vector of a kept face in the gallery's generation, as base64 of float32.

    Raises:
        NotFound, Conflict: There is no such face, or only its box was kept.
    """
    with gateway().catalog.reading() as session:
        face = faces.by_public_id(session, gallery.collection.id, face_id, round_=gallery.round)
        held = faces.vectors(session, [face.id], gallery.model.id).get(face.id)
    if held is None:
        raise Conflict("Only box and score were kept of this face; it has no embedding to search with.")
    return vectors.encoded(held)


def timings(answer: Answer) -> dict[str, float]:
    """Milliseconds of each step that was measured, and of all of them."""
    took = {step: round(ms, 2) for step, ms in answer["took_ms"].items()}
    return {**took, "total": round(sum(took.values()), 2)}
