"""Naming: whose many faces are, or are not, said at once."""

from flask.typing import ResponseReturnValue
from pydantic import Field

from services.catalog import faces, people
from services.catalog.privacy import consents
from services.catalog.reviewing import naming
from services.catalog.reviewing.naming import Named
from services.errors import InvalidRequest
from services.gateway import answers
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway, key
from services.gateway.faces import FaceAnswer, FacePath, told
from services.gateway.privacy import lawful
from services.gateway.privacy.erasures import asking
from services.gateway.privacy.lawful import Terms, consent_of

resource = Resource("naming", "Whose many faces are")


class Faces(Taken):
    """Which faces. Those that are gone are passed over."""

    face_ids: list[str] = Field(min_length=1, max_length=500)


class AssignIn(Faces, Terms):
    """Whose they are: give one of `person_id` and `person`."""

    person_id: str | None = Field(default=None, max_length=64, description="Null: nobody's.")
    person: str | None = Field(default=None, max_length=1000, description="A name; enrolled if nobody has it yet.")


class NotTheirs(Faces):
    """Whose they are not."""

    person_id: str = Field(max_length=64)


class NamedOut(answers.Changed):
    """Which faces it was done to."""

    face_ids: list[str]


class AssignedOut(NamedOut):
    """Whose they are now."""

    person: answers.PersonRef | None
    created: bool = Field(description="Whether the person was enrolled by this.")


@resource.door("post", "/faces/assign", "manage", responses={200: AssignedOut})
def assign_all(query: InCollection, body: AssignIn) -> ResponseReturnValue:
    """Say whose up to 500 faces are, or that they are nobody's: all in one step. Of whom only a box was kept is passed over."""
    if len(body.model_fields_set & {"person_id", "person"}) != 1 or (
        body.person is None and "person" in body.model_fields_set
    ):
        raise InvalidRequest("Give one of person_id (null: nobody) and person.")
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        collection_id = collection.id
        person, created = None, False
        given = consent_of(body.consent_given_at, body.consent_notice)
        if body.person is not None:
            created = not any(each.external_id is None for each in people.by_name(session, collection_id, body.person))
            person = people.ensure(session, collection_id, body.person)
        elif body.person_id is not None:
            person = people.by_public_id(session, collection_id, body.person_id)
        if person is not None:
            lawful.require(session, collection, person, given)
            if given is not None:
                consents.record(session, person, given, by=key().public_id)
            if body.expires_at:
                person.expires_at = lawful.end_of(session, body.expires_at)
        named = naming.assign(session, collection_id, body.face_ids, person)
    return {**_told(named), "person": answers.person_ref(person), "created": created}


@resource.door("post", "/faces/reject", "manage", responses={200: NamedOut})
def reject_all(query: InCollection, body: NotTheirs) -> ResponseReturnValue:
    """Remember that up to 500 faces are not a person's; those that are assigned to them become nobody's."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        person = people.by_public_id(session, collection_id, body.person_id)
        named = naming.reject(session, collection_id, body.face_ids, person, by=key().name)
    return _told(named)


@resource.door("post", "/faces/reject/undo", "manage", responses={200: NamedOut})
def take_back_all(query: InCollection, body: NotTheirs) -> ResponseReturnValue:
    """Forget that up to 500 faces are not a person's. Whose they were, they are not again by that."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        person = people.by_public_id(session, collection_id, body.person_id)
        named = naming.take_back(session, collection_id, body.face_ids, person)
    return _told(named)


@resource.door("post", "/faces/delete", "manage", responses={200: NamedOut})
def delete_all(query: InCollection, body: Faces) -> ResponseReturnValue:
    """Delete up to 500 faces, their chips and their embeddings; their photos stay."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        named = naming.delete(session, collection_id, body.face_ids, asking())
    return _told(named)


@resource.door("post", "/faces/<face_id>/confirm", "manage", responses={200: FaceAnswer})
def confirm(path: FacePath, query: InCollection) -> ResponseReturnValue:
    """Remember that a face is of whom it is: it is not listed as doubtful again until it is given to somebody else."""
    with gateway().catalog.transaction() as session:
        naming.confirm(session, faces.by_public_id(session, collection_of(session, query.collection).id, path.face_id))
    return told(path.face_id, query.collection)


def _told(named: Named) -> dict[str, object]:
    gateway().waking.wake()
    return {"sequence": named.head, "face_ids": named.faces}
