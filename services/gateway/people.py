"""People: the identities of a collection."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from flask import Response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from services.catalog import listing, people
from services.catalog.listing import Place, Sort, place_of
from services.catalog.people import PersonRow
from services.catalog.schema import Face, Person, Photo
from services.errors import ChangedMeanwhile, InvalidRequest
from services.gateway import answers, problems, uploads
from services.gateway.doors import Gateway, InCollection, Page, Resource, Taken, collection_of, gateway
from services.gateway.paging import page_of, place_after
from services.gateway.photos import accepted, take_in
from services.intake import Label

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


class PersonIn(Taken):
    """A new person. Photos come along as multipart/form-data."""

    name: str = Field(max_length=1000)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    attributes: dict[str, str] = Field(default_factory=dict, max_length=50)


class PersonChange(Taken):
    """What is to change."""

    name: str | None = Field(default=None, max_length=1000)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    attributes: dict[str, str] | None = Field(default=None, max_length=50)


class PersonAnswer(answers.PersonOut):
    """A person, and from where on a filtered search sees the change of attributes."""

    sequence: int | None = None


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
        collection_id = collection_of(session, query.collection).id
        person = people.create(session, collection_id, wanted.name, wanted.external_id, wanted.attributes)
    told = answers.person_out(PersonRow(person, 0, None))
    if not received:
        return told, 201
    job, taken = take_in(query.collection, received, [Label(person_id=person.public_id)] * len(received))
    return accepted(job, taken, **told)


@resource.door("get", "/people/<person_id>", "read", responses={200: answers.PersonOut})
def show(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """One person, with their photos and faces."""
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        found = people.faces_of(session, person)
        row = people.row_of(session, person)
    shown = [answers.face_out(face, photo, person) for face, photo in found]
    return {**answers.person_out(row), "shown_in": shown}, {"ETag": f'"{version_of(person)}"'}


@resource.door("patch", "/people/<person_id>", "manage", responses={200: PersonAnswer})
def change(path: PersonPath, query: InCollection, body: PersonChange) -> ResponseReturnValue:
    """Change name, external id or attributes. With `If-Match` and the `ETag` of what was shown, only if that still holds.

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
        told = {**answers.person_out(row), "sequence": sequence}
    if sequence is not None:
        gateway().waking.wake()
    return told, {"ETag": f'"{version_of(person)}"'}


@resource.door("delete", "/people/<person_id>", "manage", responses={200: answers.Changed})
def delete(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """Erase a person: faces, chips, embeddings, and the photos that show nobody else who is known."""
    with gateway().catalog.transaction() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        sequence = people.delete(session, person)
    gateway().waking.wake()
    return {"sequence": sequence}


@resource.door("post", "/people/<person_id>/photos", "enrol", responses={202: answers.AcceptedOut})
def add_photos(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """Photos that show this person (multipart `photo`)."""
    with gateway().catalog.reading() as session:
        people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
    received = uploads.photos()
    job, taken = take_in(query.collection, received, [Label(person_id=path.person_id)] * len(received))
    return accepted(job, taken)


@resource.door("get", "/people/<person_id>/export", "manage")
def export(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """Everything held about a person, as a zip: what is known as JSON, and the original photos."""
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        found = people.faces_of(session, person)
        row = people.row_of(session, person)
    response = Response(_zip(gateway(), row, found), mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{person.public_id}.zip"'
    return response


def _zip(mine: Gateway, row: PersonRow, found: Sequence[tuple[Face, Photo]]) -> Iterator[bytes]:
    """A zip made as it is sent: one photo at a time in memory."""
    out = _Pipe()
    with zipfile.ZipFile(out, "w") as archive:
        faces = [answers.face_out(face, photo, row.person) for face, photo in found]
        known = json.dumps({**answers.person_out(row), "faces": faces}, ensure_ascii=False, indent=1)
        archive.writestr("person.json", known)
        for photo in {photo.id: photo for _, photo in found}.values():
            archive.writestr(f"photos/{photo.public_id}.{photo.format}", mine.store.get(photo.object_key))
            yield out.taken()
    yield out.taken()


class _Pipe(io.RawIOBase):
    """What is written, until it is taken. Not seekable, so zipfile writes straight on."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self._held += data
        return len(data)

    def taken(self) -> bytes:
        """All that was written since the last time."""
        held, self._held = bytes(self._held), bytearray()
        return held


def _form() -> dict[str, Any]:
    fields: dict[str, Any] = request.form.to_dict()
    if "attributes" in fields:
        try:
            fields["attributes"] = json.loads(fields["attributes"])
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
    """What ``If-Match`` compares: the same as long as nobody changes name, external id or attributes."""
    told = json.dumps([person.name, person.external_id, person.attributes], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:32]
