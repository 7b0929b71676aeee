"""Consents: that somebody agreed to be in a collection; withdrawn, they are erased."""

from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services import moments
from services.catalog import people
from services.catalog.privacy import consents
from services.catalog.privacy.consents import Given
from services.catalog.tables.privacy import Consent
from services.errors import Conflict
from services.gateway import answers
from services.gateway.answers import time_of
from services.gateway.doors import InCollection, Resource, collection_of, gateway, key
from services.gateway.people import PersonPath
from services.gateway.privacy import erasures
from services.gateway.privacy.lawful import ConsentIn

resource = Resource("consents", "Who has agreed to be in a collection")


class ConsentOut(BaseModel):
    """A consent on record."""

    given_at: str
    notice: str = Field(description="Version of the text.")
    text: str
    recorded_by: str = Field(description="Id of the key.")
    recorded_at: str


class ConsentsOut(BaseModel):
    """A person's consents, the latest last."""

    person: answers.PersonRef
    items: list[ConsentOut]


@resource.door("get", "/people/<person_id>/consent", "read", responses={200: ConsentsOut})
def show(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """What a person has agreed to, and when."""
    with gateway().catalog.reading() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        found = consents.of(session, person)
    return {"person": answers.person_ref(person), "items": [_out(each) for each in found]}


@resource.door("post", "/people/<person_id>/consent", "enrol or manage", responses={201: ConsentsOut})
def record(path: PersonPath, query: InCollection, body: ConsentIn) -> ResponseReturnValue:
    """Write down that a person has agreed: when, and to which notice. The same twice is one."""
    at = None if body.given_at is None else moments.begin(body.given_at, "given_at")
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, query.collection).id
        person = people.by_public_id(session, collection_id, path.person_id, locked=True)
        consents.record(session, person, Given(at, body.notice, body.text), by=key().public_id)
        found = consents.of(session, person)
    return {"person": answers.person_ref(person), "items": [_out(each) for each in found]}, 201


@resource.door("delete", "/people/<person_id>/consent", "manage", responses={200: erasures.ErasedOut})
def withdraw(path: PersonPath, query: InCollection) -> ResponseReturnValue:
    """A person withdraws their consent: they are erased. The receipt says what is gone now, and the rest by when."""
    with gateway().catalog.transaction() as session:
        person = people.by_public_id(session, collection_of(session, query.collection).id, path.person_id)
        if not consents.has(session, person.id):
            raise Conflict(f"No consent of {person.public_id} is on record. Erase them instead: colega people delete.")
        entry = people.erase(session, person, erasures.asking("withdrawn"))
    gateway().waking.wake()
    return erasures.erased(entry)


def _out(row: Consent) -> dict[str, Any]:
    return {
        "given_at": time_of(row.given_at),
        "notice": row.notice_version,
        "text": row.notice,
        "recorded_by": row.recorded_by,
        "recorded_at": time_of(row.recorded_at),
    }
