"""People: the identities of a collection."""

import hashlib
import json
from typing import Annotated, Any, Literal

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from services.catalog import listing, people
from services.catalog.listing import Place, Sort, place_of
from services.catalog.people import PersonRow
from services.catalog.privacy import consents
from services.catalog.schema import Person
from services.errors import ChangedMeanwhile, InvalidRequest
from services.gateway import answers, problems, uploads
from services.gateway.auditing import requests as auditing
from services.gateway.doors import InCollection, Page, Resource, Taken, collection_of, gateway, key
from services.gateway.guarding import documents
from services.gateway.paging import page_of, place_after
from services.gateway.photos import accepted, take_in
from services.gateway.privacy import erasures, lawful
from services.gateway.privacy.lawful import Terms, consent_of
from services.labels import Label

resource = Resource("people", "Identities")

_Number = Annotated[int, Field(ge=0, lt=2**63)]
_PLACES: dict[Sort, TypeAdapter[Any]] = {
    "name": TypeAdapter(tuple[Literal["name"], str, _Number]),
    "newest": TypeAdapter(tuple[Literal["newest"], Annotated[float, Field(allow_inf_nan=False)], _Number]),
    "most_faces": TypeAdapter(tuple[Literal["most_faces"], _Number, str, _Number]),
    "fewest_faces": TypeAdapter(tuple[Literal["fewest_faces"], _Number, str, _Number]),
}
"""What a cursor of each order holds."""


class PersonPath(BaseModel):
    """Which person."""

    person_id: str = Field(max_length=64)


class PeoplePage(Page):
    """Which people."""

    query: str = Field(
        default="",
        max_length=200,
        description="Each word is searched for in the name, where case and accents do not count, and in the external id.",
    )
    sort: Sort = Field(default="name", description="By name, the latest first, or by how many faces they have.")
    name: str | None = Field(default=None, max_length=1000, description="Exactly this name.")


class PersonIn(Terms):
    """A new person. Photos come along as multipart/form-data."""

    name: str = Field(max_length=1000)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    attributes: dict[str, str] = Field(default_factory=dict, max_length=50)


class PersonChange(Taken):
    """What is to change."""

    name: str | None = Field(default=None, max_length=1000)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    attributes: dict[str, str] | None = Field(default=None, max_length=50)
    expires_at: str | None = Field(
        default=None,
        max_length=40,
        description="When they are erased: a day (its end), or a time with its offset. Null: never.",
    )


class PersonAnswer(answers.PersonOut):
    """A person, and from where on a filtered search sees the change of attributes."""

    sequence: int | None = None


class ConsentRef(BaseModel):
    """The consent that somebody gave last."""

    given_at: str
    notice: str
    recorded_by: str
    recorded_at: str


class PersonShown(answers.PersonOut):
    """A person with what is recorded of them, and their faces."""

    consent: ConsentRef | None
    ends_at: str | None = Field(description="When their time is over, by themselves or by the collection.")
    shown_in: list[answers.FaceOut]


class PeopleOut(BaseModel):
    """People, in the order that was asked for."""

    items: list[answers.PersonOut]
    next_cursor: str | None


@resource.door("get", "/people", "read", responses={200: PeopleOut})
def index(query: PeoplePage) -> ResponseReturnValue:
    """People: by name, or as `sort` says."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        if query.name is not None:
            named = people.by_name(session, collection_id, query.name)
            return page_of([(answers.person_out(people.row_of(session, p)), None) for p in named], more=False)
        after = place_in_list(query.cursor, query.sort)
        rows = listing.page(
            session, collection_id, query=query.query, sort=query.sort, limit=query.limit + 1, after=after
        )
    told = [(answers.person_out(row), [query.sort, *place_of(row, query.sort)]) for row in rows[: query.limit]]
    return page_of(told, more=len(rows) > query.limit)


@resource.door("post", "/people", "enrol", responses={201: answers.PersonOut, 202: answers.AcceptedOut})
def create(query: InCollection) -> ResponseReturnValue:
    """A new person: 201 without photos (JSON), 202 with photos (multipart), which are found when their job is done."""
    try:
        wanted = PersonIn.model_validate(request.get_json() if request.is_json else _form())
    except ValidationError as error:
        return problems.invalid(error)
    received = [] if request.is_json or not request.files else uploads.photos()
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        given = consent_of(wanted.consent_given_at, wanted.consent_notice)
        lawful.require(session, collection, None, given)
        person = people.create(session, collection.id, wanted.name, wanted.external_id, wanted.attributes)
        auditing.note(object_=person.public_id)
        person.expires_at = lawful.end_of(session, wanted.expires_at)
        if given is not None:
            consents.record(session, person, given, by=key().public_id)
    told = answers.person_out(PersonRow(person, 0, None))
    if not received:
        return told, 201
    job, taken = take_in(query.collection, received, [Label(person_id=person.public_id)] * len(received))
    return accepted(job, taken, **told)


@resource.door("get", "/people/<person_id>", "read", responses={200: PersonShown})
def show(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """One person, with their photos and faces."""
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        person = people.by_public_id(session, collection.id, path.person_id)
        found = people.faces_of(session, person)
        row = people.row_of(session, person)
        terms = lawful.told(session, collection, person)
    shown = [answers.face_out(face, photo, person) for face, photo in found]
    return {**answers.person_out(row), **terms, "shown_in": shown}, {"ETag": f'"{version_of(person)}"'}


@resource.door("patch", "/people/<person_id>", "manage", responses={200: PersonAnswer})
def change(path: PersonPath, query: InCollection, body: PersonChange) -> ResponseReturnValue:
    """Change name, external id, attributes or end. With `If-Match` and the `ETag` of what was shown, only if that still holds.

    Attributes are changed as a whole.
    """
    with gateway().catalog.transaction() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id, locked=True)
        if request.if_match and not request.if_match.contains(version_of(person)):
            raise ChangedMeanwhile("Somebody else has changed this person. Look at them again, then repeat the change.")
        row = people.row_of(session, person)
        sequence = people.change(
            session, person, name=body.name, external_id=body.external_id, attributes=body.attributes
        )
        if "expires_at" in body.model_fields_set:
            person.expires_at = lawful.end_of(session, body.expires_at)
            session.flush()
        told = {**answers.person_out(row), "sequence": sequence}
    if sequence is not None:
        gateway().waking.wake()
    return told, {"ETag": f'"{version_of(person)}"'}


@resource.door("delete", "/people/<person_id>", "manage", responses={200: erasures.ErasedOut})
def delete(path: PersonPath, query: erasures.Erased) -> ResponseReturnValue:
    """Erase a person: faces, chips, embeddings, and the photos that show nobody else who is known.

    The receipt says what is gone now, and what by when.
    """
    with gateway().catalog.transaction() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        entry = people.erase(session, person, erasures.asking(urgent=query.now))
    gateway().waking.wake()
    return erasures.erased(entry)


@resource.door("post", "/people/<person_id>/photos", "enrol", responses={202: answers.AcceptedOut})
def add_photos(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """Photos that show this person (multipart `photo`)."""
    with gateway().catalog.reading() as session:
        collection = collection_of(session, query.collection)
        lawful.require(session, collection, people.by_public_id(session, collection.id, path.person_id))
    received = uploads.photos()
    job, taken = take_in(query.collection, received, [Label(person_id=path.person_id)] * len(received))
    return accepted(job, taken)


def _form() -> dict[str, Any]:
    fields: dict[str, Any] = request.form.to_dict()
    if "attributes" in fields:
        try:
            fields["attributes"] = documents.read(fields["attributes"])
        except ValueError:
            raise InvalidRequest("attributes: give a JSON object of strings.") from None
    return fields


def place_in_list(cursor: str | None, sort: Sort) -> Place | None:
    """The place in a list in that order that a cursor names; None for the beginning.

    Raises:
        InvalidRequest: It is none of ours, or of a list in another order.
    """
    place = place_after(cursor)
    if place is None:
        return None
    try:
        found: Place = _PLACES[sort].validate_python(tuple(place) if isinstance(place, list) else place, strict=True)[
            1:
        ]
    except ValidationError:
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is, with the same `sort`.") from None
    return found


def version_of(person: Person) -> str:
    """What ``If-Match`` compares: the same as long as nobody changes name, external id, attributes or end."""
    told = json.dumps(
        [person.name, person.external_id, person.attributes, person.expires_at], sort_keys=True, ensure_ascii=False
    )
    return hashlib.sha256(told.encode()).hexdigest()[:32]
