"""Faces: whose they are, their chips, and those that are nobody's."""

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import chips, faces, people
from services.errors import InvalidRequest, NotFound
from services.gateway import answers
from services.gateway.doors import InCollection, Page, Resource, Taken, collection_of, gateway
from services.gateway.paging import number_after, page_of
from services.gateway.photos import picture
from services.gateway.privacy import erasures, lawful

resource = Resource("faces", "Faces in photos")


class FacePath(BaseModel):
    """Which face."""

    face_id: str = Field(max_length=64)


class Unassigned(Page):
    """Which faces. Faces of people are listed with the people."""

    unassigned: bool = Field(default=True, description="Faces of nobody that were kept for review.")


class FaceChange(Taken):
    """Whose it is."""

    person_id: str | None = Field(max_length=64, description="Null: nobody's.")


class FaceAnswer(answers.FaceOut):
    """A face, and from where on a search sees the change."""

    sequence: int | None = None


class FacesOut(BaseModel):
    """Faces, oldest first."""

    items: list[answers.FaceOut]
    next_cursor: str | None


@resource.door("get", "/faces", "read", responses={200: FacesOut})
def index(query: Unassigned) -> ResponseReturnValue:
    """Faces of nobody that were kept."""
    if not query.unassigned:
        raise InvalidRequest("unassigned: only faces of nobody are listed here; ask people for theirs.")
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        found = faces.unassigned(session, collection_id, limit=query.limit + 1, after=number_after(query.cursor))
    rows = [(answers.face_out(face, photo, None), face.id) for face, photo in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/faces/<face_id>", "read", responses={200: FaceAnswer})
def show(path: FacePath, query: InCollection) -> ResponseReturnValue:
    """One face."""
    return told(path.face_id, query.collection)


@resource.door("patch", "/faces/<face_id>", "manage", responses={200: FaceAnswer})
def assign(path: FacePath, query: InCollection, body: FaceChange) -> ResponseReturnValue:
    """Say whose a face is, or that it is nobody's."""
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        person = None if body.person_id is None else people.by_public_id(session, collection.id, body.person_id)
        if person is not None:
            lawful.require(session, collection, person)
        sequence = faces.assign(session, faces.by_public_id(session, collection.id, path.face_id), person)
    gateway().waking.wake()
    return {**told(path.face_id, query.collection), "sequence": sequence}


@resource.door("delete", "/faces/<face_id>", "manage", responses={200: erasures.ErasedOut})
def delete(path: FacePath, query: erasures.Erased) -> ResponseReturnValue:
    """Delete a face, its chip and its embeddings; its photo stays. The receipt says what is gone now, and what by when."""
    with gateway().catalog.transaction() as session:
        face = faces.by_public_id(session, collection_of(session, query.collection).id, path.face_id)
        entry = faces.erase(session, face, erasures.asking(urgent=query.now))
    gateway().waking.wake()
    return erasures.erased(entry)


@resource.door("get", "/faces/<face_id>/chip", "read")
def chip(path: FacePath, query: InCollection) -> ResponseReturnValue:
    """The chip: the face's surroundings as stored, a JPEG without metadata."""
    with gateway().catalog.reading() as session:
        key = chips.key_of(session, collection_of(session, query.collection).id, path.face_id)
    if key is None:
        raise NotFound("chip of face", path.face_id)
    return picture(key)


def told(face_id: str, collection: str) -> dict[str, object]:
    """The face of that id, as it is now."""
    with gateway().catalog.reading() as session:
        face = faces.by_public_id(session, collection_of(session, collection).id, face_id)
        return answers.face_out(*faces.by_ids(session, [face.id])[face.id])
