"""Rejections: what somebody says is not so, remembered and taken back: a face is not that person, two people are two."""

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import faces, log, people
from services.catalog.reviewing import naming, not_same
from services.errors import InvalidRequest
from services.gateway import answers
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway, key
from services.gateway.faces import FacePath
from services.gateway.people import PersonPath

_MOST_OTHERS = 20

resource = Resource("rejections", "Who is not the same")


class RejectIn(Taken):
    """Who the face is not: a person, or whom other faces show. One of both."""

    person_id: str | None = Field(default=None, max_length=64, description="Not this person.")
    face_ids: list[str] | None = Field(
        default=None, min_length=1, max_length=_MOST_OTHERS, description="Not who these faces of its cluster show."
    )


class TakenBack(InCollection):
    """What is taken back; all of it where nothing is named."""

    person_id: str | None = Field(default=None, max_length=64)
    face_id: list[str] = Field(default_factory=list, max_length=_MOST_OTHERS)


class Rejection(BaseModel):
    """Who a face is not: a person, or whom another face shows."""

    person: answers.PersonRef | None
    face_id: str | None
    said_by: str
    created_at: str


class RejectionsOut(BaseModel):
    """Who a face is not, oldest first."""

    items: list[Rejection]


class DistinctIn(Taken):
    """Who they are not."""

    people: list[str] = Field(alias="from", min_length=1, max_length=100, description="Ids of people.")


class DistinctFrom(InCollection):
    """Of whom it is taken back."""

    people: list[str] = Field(alias="from", min_length=1, max_length=100, description="Ids of people.")


class DistinctOut(BaseModel):
    """Who was said to be somebody else, by name."""

    items: list[answers.PersonRef]


@resource.door("post", "/faces/<face_id>/reject", "manage", responses={200: answers.Changed})
def reject(path: FacePath, query: InCollection, body: RejectIn) -> ResponseReturnValue:
    """Remember who a face is not; one that is assigned to that person becomes nobody's.

    Searches with this face, or with the very bytes of its photo, no longer name the person; nor do clusters propose them for it.
    It holds under every model until the face is assigned to the person after all, by hand or by an import that names them.
    With `face_ids` the face leaves their cluster, and is not the person whom these are found to be.
    """
    if (body.person_id is None) == (body.face_ids is None):
        raise InvalidRequest("Give one of person_id and face_ids.")
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        face = faces.by_public_id(session, collection_id, path.face_id)
        if body.person_id is not None:
            person = people.by_public_id(session, collection_id, body.person_id)
            sequence = naming.reject(session, collection_id, [face.public_id], person, by=key().name).head
        else:
            others = [faces.by_public_id(session, collection_id, each).public_id for each in body.face_ids or ()]
            naming.take_apart(session, collection_id, face.public_id, others, by=key().name)
            sequence = log.append(session, collection_id, []).head
    gateway().waking.wake()
    return {"sequence": sequence}


@resource.door("delete", "/faces/<face_id>/reject", "manage", responses={200: RejectionsOut})
def take_back(path: FacePath, query: TakenBack) -> ResponseReturnValue:
    """Forget who a face is not: `person_id`, or `face_id` (one or more), or all of it. Whose it was, it is not again by that."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        face = faces.by_public_id(session, collection_id, path.face_id)
        person = None if query.person_id is None else people.by_public_id(session, collection_id, query.person_id)
        not_same.take_back(session, face.public_id, person=person, others=query.face_id)
        found = not_same.of_face(session, face.public_id)
    return {"items": [_out(each) for each in found]}


@resource.door("get", "/faces/<face_id>/rejections", "read", responses={200: RejectionsOut})
def index(path: FacePath, query: InCollection) -> ResponseReturnValue:
    """Who a face is not."""
    with gateway().catalog.reading() as session:
        face = faces.by_public_id(session, collection_of(session, query.collection).id, path.face_id)
        found = not_same.of_face(session, face.public_id)
    return {"items": [_out(each) for each in found]}


@resource.door("post", "/people/<person_id>/distinct", "manage", responses={200: DistinctOut})
def distinguish(path: PersonPath, query: InCollection, body: DistinctIn) -> ResponseReturnValue:
    """Remember that a person is none of these others: they are not listed as alike again. A merge says otherwise."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        person = people.by_public_id(session, collection_id, path.person_id)
        others = [people.by_public_id(session, collection_id, each) for each in body.people]
        if person in others:
            raise InvalidRequest(f"from: {person.name} cannot be told from themselves.")
        not_same.distinguish(session, person, others, by=key().name)
        found = not_same.distinct_from(session, person)
    return {"items": [answers.person_ref(each) for each in found]}


@resource.door("delete", "/people/<person_id>/distinct", "manage", responses={200: DistinctOut})
def confound(path: PersonPath, query: DistinctFrom) -> ResponseReturnValue:
    """Take back that a person is none of these others (`from`, one or more)."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        person = people.by_public_id(session, collection_id, path.person_id)
        not_same.confound(session, person, [people.by_public_id(session, collection_id, each) for each in query.people])
        found = not_same.distinct_from(session, person)
    return {"items": [answers.person_ref(each) for each in found]}


@resource.door("get", "/people/<person_id>/distinct", "read", responses={200: DistinctOut})
def distinct(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """Who was said not to be a person."""
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        found = not_same.distinct_from(session, person)
    return {"items": [answers.person_ref(each) for each in found]}


def _out(said: not_same.Rejected) -> dict[str, object]:
    return {
        "person": answers.person_ref(said.person),
        "face_id": said.other_face,
        "said_by": said.said_by,
        "created_at": answers.time_of(said.created_at),
    }
