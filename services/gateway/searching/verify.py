"""Verify: are these the same person? And detect: where are the faces?"""

import array
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError

from services import heads, thresholds
from services.broker.requests import Answer, Search
from services.calibrated import Known
from services.catalog import models, people, photos
from services.errors import InvalidRequest, NotFound, PhotoRefused
from services.gateway import answers, problems, uploads
from services.gateway.auditing import requests as auditing
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway
from services.gateway.guarding import auth
from services.gateway.guarding.auth import require_scope
from services.gateway.searching.search import Gallery, SearchQuery, gallery_of, look, timings, vector_of
from services.rejections import Rejection

resource = Resource("verify", "Are these the same person? Where are the faces?")


class VerifyQuery(InCollection):
    """From which similarity two faces count as the same person."""

    threshold: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    fmr: float | None = Field(default=None, gt=0, lt=1, description="A false-match rate; 0.001 where nothing is said.")


class Faces(Taken):
    """Two kept faces."""

    face_id_a: str = Field(max_length=64)
    face_id_b: str = Field(max_length=64)


class VerifyOut(BaseModel):
    """How alike they are."""

    similarity: float
    same: bool
    threshold: float
    decided_by: thresholds.By = Field(description="Who gave the threshold: the request, the calibration or the model.")
    fmr: float | None = Field(
        description="The share of other people's photos that are as similar, by the collection's calibration: to a person "
        "with all their faces, or, of two photos, to one photo. Null without one."
    )
    probability: float | None = Field(
        description="That it is one person, by the model's Siamese head; null without one. It decides nothing."
    )
    model: str


@dataclass(frozen=True, slots=True)
class Compared:
    """How alike two are, and how likely they are one person where the model has a head that says so."""

    similarity: float
    probability: float | None


class KeptPhoto(Taken):
    """A photo that is kept."""

    photo_id: str = Field(max_length=64)


class DetectedFace(BaseModel):
    """A face without an identity."""

    box: answers.BoxOut
    landmarks: list[list[float]]
    score: float
    quality: float
    quality_parts: dict[str, float] = Field(
        description="What the quality is made of, 0 to 1 each: size, sharpness, pose, exposure, detector."
    )


class DetectOut(BaseModel):
    """The faces of a photo, best score first."""

    width: int
    height: int
    preview: str | None = Field(description="The photo as a JPEG, base64, where one was asked for.")
    took_ms: dict[str, float]
    faces: list[DetectedFace]


@resource.door("post", "/verify", "search", in_memory=True, responses={200: VerifyOut})
def compare(query: VerifyQuery) -> ResponseReturnValue:
    """Two photos (`a`, `b`), a photo and a person (`photo`, `person_id`), or two kept faces (JSON).

    Of a photo with several faces the largest central one counts.
    """
    gallery = gallery_of(query.collection)
    known: Known = "pairs"
    held = models.head_of(gallery.model)
    if request.is_json:
        try:
            wanted = Faces.model_validate(request.get_json())
        except ValidationError as error:
            return problems.invalid(error)
        compared = _pair(vector_of(gallery, wanted.face_id_a), vector_of(gallery, wanted.face_id_b), held)
    elif person_id := request.form.get("person_id"):
        compared, known = _with_person(gallery, uploads.query_photo(), person_id, held), "fmr"
    else:
        answer = look(gallery, [uploads.query_photo("a"), uploads.query_photo("b")], model=gallery.model.digest)
        compared = _pair(_chosen(answer, 0, "a"), _chosen(answer, 1, "b"), held)
    similarity = compared.similarity
    table, calibrated = gallery.model.details.get("thresholds", {}), gallery.calibrated
    decision = thresholds.of_comparison(calibrated, table, known, threshold=query.threshold, fmr=query.fmr)
    auditing.note(same=similarity >= decision.threshold, threshold=round(decision.threshold, 6))
    return {
        "similarity": round(similarity, 6),
        "same": similarity >= decision.threshold,
        "threshold": decision.threshold,
        "decided_by": decision.by,
        "fmr": None if calibrated is None else calibrated.fmr_of(similarity, known),
        "probability": None if compared.probability is None else round(compared.probability, 6),
        "model": gallery.model.digest,
    }


@resource.door("post", "/detect", "search", in_memory=True, responses={200: DetectOut})
def detect(query: SearchQuery) -> ResponseReturnValue:
    """Where the faces of a photo are, without asking who they are: of one that is sent, or of a kept one (JSON)."""
    gallery = gallery_of(query.collection)
    if request.is_json:
        if query.preview is not None:
            auth.require_scope("manage")  # As for the original itself; others have its thumbnail.
        try:
            photo_id = KeptPhoto.model_validate(request.get_json()).photo_id
            data = _kept(gallery, photo_id)
            auditing.note(action="photo.detect" if query.preview is None else "photo.preview", object_=photo_id)
        except ValidationError as error:
            return problems.invalid(error)
    else:
        data = uploads.query_photo()
    answer = look(gallery, [data], model=None, mode=query.mode, preview_px=query.preview)
    photo = answer["photos"][0]
    auditing.note(faces=len(photo["faces"]))
    found = [
        {
            "box": answers.box_out(face["box"]),
            "landmarks": face["landmarks"],
            "score": face["score"],
            "quality": face["quality"]["value"],
            "quality_parts": {part: round(of, 4) for part, of in face["quality"].items() if part != "value"},
        }
        for face in photo["faces"]
    ]
    return {
        "width": photo["width"],
        "height": photo["height"],
        "preview": photo.get("preview"),
        "took_ms": timings(answer),
        "faces": found,
    }


def _kept(gallery: Gallery, photo_id: str) -> bytes:
    """The bytes of a kept photo, for keys that may read it."""
    require_scope("read")
    with gateway().catalog.reading() as session:
        photo = photos.by_public_id(session, gallery.collection.id, photo_id)
    return gateway().store.get(photo.object_key)


def _with_person(gallery: Gallery, photo: bytes, person_id: str, held: Mapping[str, Any] | None) -> Compared:
    """The person's score against the largest central face of *photo*, by the one definition of a score."""
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, gallery.collection.name).id, person_id)
        auditing.note(object_=person.public_id)
        enrolled = bool(people.faces_of(session, person))
    if not enrolled:
        raise NotFound("enrolled face of person", person_id)
    answer = look(gallery, [photo], model=gallery.model.digest)
    vector = _chosen(answer, 0, "photo")
    head = None if held is None else heads.for_searcher(held)
    asked = Search(gallery.collection.id, gallery.generation, 1, person=person.id, head=head)
    timeout_s = gateway().limits.search_timeout_s
    [hits] = gateway().asking.search([vector], asked, model=gallery.model.digest, timeout_s=timeout_s)["hits"]
    if not hits:
        raise NotFound("enrolled face of person", person_id)
    return Compared(float(hits[0]["similarity"]), hits[0].get("probability"))


def _chosen(answer: Answer, place: int, field: str) -> str:
    photo = answer["photos"][place]
    if photo["chosen"] is None:
        raise PhotoRefused(Rejection.NO_FACE, f"{field}: no face was found, upright or turned.")
    return str(photo["faces"][photo["chosen"]]["vector"])


def _pair(a: str, b: str, held: Mapping[str, Any] | None) -> Compared:
    """Two vectors, as base64 of float32."""
    similarity = cosine(a, b)
    if held is None:
        return Compared(similarity, None)
    first, second = _floats(a), _floats(b)
    return Compared(similarity, heads.read(held, len(first)).probability(first, second))


def cosine(a: str, b: str) -> float:
    """The cosine of two vectors of norm 1, as base64 of float32.

    Raises:
        InvalidRequest: They have not the same dimension.
    """
    first, second = _floats(a), _floats(b)
    if len(first) != len(second):
        raise InvalidRequest("The two faces were embedded by different models.")
    return max(-1.0, min(1.0, sum(x * y for x, y in zip(first, second, strict=True))))


def _floats(vector: str) -> "array.array[float]":
    return array.array("f", base64.b64decode(vector))
