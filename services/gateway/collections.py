"""Collections: galleries apart from each other, and on what basis, for what purpose and how long people are in them."""

from typing import Any, Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import collections, keys, models
from services.catalog.erasing import retention
from services.catalog.privacy import bases, consents
from services.catalog.privacy.consents import LONGEST_NOTICE
from services.catalog.schema import Collection
from services.errors import Conflict, InvalidRequest
from services.gateway.answers import time_of
from services.gateway.auditing import requests as auditing
from services.gateway.doors import Resource, Taken, collection_of, gateway, key
from services.gateway.guarding.auth import require_unlimited

resource = Resource("collections", "Galleries apart from each other")

Ground = Literal[
    "consent",
    "employment_law",
    "vital_interests",
    "legitimate_activities",
    "made_public",
    "legal_claims",
    "substantial_public_interest",
    "health_care",
    "public_health",
    "research",
    "contract",
    "legal_obligation",
    "public_task",
    "legitimate_interests",
    "other",
]


class CollectionPath(BaseModel):
    """Which collection."""

    name: str = Field(max_length=64)


class NoticeIn(Taken):
    """The text that people are given, or agree to."""

    text: str = Field(min_length=1, max_length=LONGEST_NOTICE)
    version: str = Field(min_length=1, max_length=64, description="Another text needs another version.")


class BasisIn(Taken):
    """On what lawful basis, for what purpose, and what people are told."""

    basis: Ground = Field(
        description="A ground of GDPR article 9(2), or of 6(1), which alone does not allow biometrics."
    )
    statement: str | None = Field(
        default=None, max_length=4096, description="The law or the agreement; of `other` which it is."
    )
    purpose: str | None = Field(default=None, max_length=1024)
    notice: NoticeIn | None = Field(
        default=None, description="What people are given to read, and by `consent` agree to."
    )


class CollectionIn(Taken):
    """A new collection."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    basis: BasisIn | None = None
    retention_days: float | None = Field(default=None, gt=0, le=36_500)


class CollectionChange(Taken):
    """What is to change; what is not named stays. Null takes it away."""

    basis: BasisIn | None = None
    retention_days: float | None = Field(
        default=None, gt=0, le=36_500, description="People are erased so long after they were enrolled."
    )


class ConfirmIn(Taken):
    """That they are to be erased, however many."""

    people: int = Field(ge=0, description="How many, as `held` says; refused when more are due by then.")


class NoticeOut(BaseModel):
    """The notice that is in force."""

    version: str
    text: str
    since: str


class BasisOut(BaseModel):
    """On what basis people are in a collection."""

    basis: str
    statement: str | None
    purpose: str | None
    notice: NoticeOut | None
    notices: list[str] = Field(description="Versions of every notice there was.")


class RetentionOut(BaseModel):
    """Whose time is over, and what maintenance did last."""

    due: int = Field(description="People whose time is over now.")
    held: int = Field(description="People who are not erased before somebody confirms it: too many at once.")
    why: str | None = Field(description="`share`: too many; `clock`: the catalog's clock has jumped, too.")
    erased: int = Field(description="People erased so far because their time was over.")
    erased_at: str | None
    looked_at: str | None


class CollectionOut(BaseModel):
    """A collection, and what is in it."""

    name: str
    model: str | None
    detector: str
    people: int
    photos: int
    faces: int
    sequence: int
    basis: BasisOut | None
    retention_days: float | None
    retention: RetentionOut
    without_consent: int | None = Field(description="People whose consent is not on record, where that is the basis.")
    created_at: str


class CollectionsOut(BaseModel):
    """All collections that the key may touch."""

    items: list[CollectionOut]
    next_cursor: str | None


class ConfirmedOut(BaseModel):
    """How many are being erased."""

    people: int


@resource.door("get", "/collections", "read", responses={200: CollectionsOut})
def index() -> ResponseReturnValue:
    """All collections that the key may touch."""
    allowed = key().collections
    with gateway().catalog.reading() as session:
        found = [c for c in collections.all_of(session) if allowed is None or c.name in allowed]
        return {"items": [told(session, collection) for collection in found], "next_cursor": None}


@resource.door("post", "/collections", "admin", responses={201: CollectionOut})
def create(body: CollectionIn) -> ResponseReturnValue:
    """A new, empty collection with the active model and detector."""
    require_unlimited()
    with gateway().catalog.transaction() as session:
        collection = collections.create(session, body.name)
        auditing.note(collection=collection.name)
        if body.basis is not None:
            bases.change(session, collection, body.basis.model_dump())
        collection.retention_days = body.retention_days
        session.flush()
        return told(session, collection), 201


@resource.door("get", "/collections/<name>", "read", responses={200: CollectionOut})
def show(path: CollectionPath) -> ResponseReturnValue:
    """One collection."""
    with gateway().catalog.reading() as session:
        return told(session, collection_of(session, path.name))


@resource.door("patch", "/collections/<name>", "manage", responses={200: CollectionOut})
def change(path: CollectionPath, body: CollectionChange) -> ResponseReturnValue:
    """Record on what basis people are in a collection, what they are told, and for how long they stay.

    A basis is changed as a whole. `retention.due` of the answer says how many people's time is over by that.
    """
    if not body.model_fields_set:
        raise InvalidRequest("Give basis, retention_days, or both.")
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, path.name)
        if "basis" in body.model_fields_set:
            bases.change(session, collection, None if body.basis is None else body.basis.model_dump())
        if "retention_days" in body.model_fields_set:
            collection.retention_days = body.retention_days
            session.flush()
        return told(session, collection)


@resource.door("post", "/collections/<name>/retention/confirm", "manage", responses={200: ConfirmedOut})
def confirm(path: CollectionPath, body: ConfirmIn) -> ResponseReturnValue:
    """Have people erased whose time is over, although they are many. Maintenance does it within a minute."""
    with gateway().catalog.transaction() as session:
        return {"people": retention.confirm(session, collection_of(session, path.name), body.people)}


@resource.door("delete", "/collections/<name>", "admin")
def delete(path: CollectionPath) -> ResponseReturnValue:
    """Delete an empty collection. One that holds people or photos is refused: delete those first."""
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, path.name)
        held = collections.counts(session, collection.id)
        if path.name == collections.DEFAULT or held["people"] or held["photos"]:
            raise Conflict("Only an empty collection other than `default` can be deleted.")
        collections.delete(session, collection)
        keys.forget_collection(session, path.name)
    return "", 204


def told(session: Session, collection: Collection) -> dict[str, Any]:
    """See :class:`CollectionOut`."""
    model = None if collection.model_id is None else models.by_id(session, collection.model_id)
    detector = None if collection.detector_id is None else models.by_id(session, collection.detector_id)
    return {
        "name": collection.name,
        "model": None if model is None else model.name,
        "detector": "mtcnn" if detector is None else detector.name,
        **collections.counts(session, collection.id),
        "sequence": collection.head,
        "basis": basis_out(collection),
        "retention_days": collection.retention_days,
        "retention": retention_out(session, collection),
        "without_consent": consents.lacking(session, collection) if bases.is_consent(collection) else None,
        "created_at": time_of(collection.created_at),
    }


def basis_out(collection: Collection) -> dict[str, Any] | None:
    """See :class:`BasisOut`."""
    basis = collection.basis
    if basis is None:
        return None
    notice = basis.get("notice")
    return {
        "basis": basis["basis"],
        "statement": basis.get("statement"),
        "purpose": basis.get("purpose"),
        "notice": None if notice is None else {**notice, "since": time_of(notice["since"])},
        "notices": list(basis.get("notices", {})),
    }


def retention_out(session: Session, collection: Collection) -> dict[str, Any]:
    """See :class:`RetentionOut`."""
    told = collection.retained or {}
    return {
        "due": retention.count(session, collection),
        "held": told.get("held", 0),
        "why": told.get("why"),
        "erased": told.get("erased", 0),
        "erased_at": time_of(told.get("erased_at")),
        "looked_at": time_of(told.get("looked_at")),
    }
