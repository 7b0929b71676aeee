"""Subjects: people by name, as CompreFace's clients know them."""

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import people, subjects
from services.catalog.reviewing import merges
from services.catalog.schema import Person
from services.errors import NotFound
from services.gateway.auditing import requests as auditing
from services.gateway.compreface import failures, found
from services.gateway.compreface.facade import Asked, collection, door
from services.gateway.doors import collection_of, gateway, key
from services.gateway.privacy import lawful
from services.gateway.privacy.erasures import asking
from services.gateway.searching.search import gallery_of


class SubjectPath(BaseModel):
    """Which subject."""

    subject: str = Field(max_length=1000)


class SubjectIn(Asked):
    """A name."""

    subject: str = Field(max_length=1000)


class SubjectOut(BaseModel):
    """A subject."""

    subject: str


class SubjectsOut(BaseModel):
    """Every subject."""

    subjects: list[str]


class Updated(BaseModel):
    """Whether anything has changed."""

    updated: bool


class Deleted(BaseModel):
    """How many are gone."""

    deleted: int


@door("get", "/recognition/subjects", "read", responses={200: SubjectsOut})
def list_subjects() -> ResponseReturnValue:
    """The names of all people."""
    with gateway().catalog.reading() as session:
        return {"subjects": list(subjects.names(session, collection_of(session, collection()).id))}


@door("post", "/recognition/subjects", "enrol", responses={201: SubjectOut})
def add_subject(body: SubjectIn) -> ResponseReturnValue:
    """A person without photos."""
    with gateway().catalog.transaction() as session:
        mine = collection_of(session, collection())
        collection_id = mine.id
        if subjects.named(session, collection_id, body.subject):
            failures.refuse(failures.SUBJECT_EXISTS, "Subject already exists")
        lawful.require(session, mine, None)
        person = people.create(session, collection_id, body.subject, None, None)
        auditing.note_people([person])
        return {"subject": person.name}, 201


@door("put", "/recognition/subjects/<subject>", "manage", responses={200: Updated})
def rename_subject(path: SubjectPath, body: SubjectIn) -> ResponseReturnValue:
    """Another name; where somebody has it, all faces go to them."""
    if body.subject == path.subject:
        return {"updated": False}
    sequence = None
    with gateway().catalog.transaction() as session:
        mine = collection_of(session, collection())
        collection_id = mine.id
        sources = of_name(session, collection_id, path.subject)
        auditing.note_people(sources)
        theirs = {person.id for person in sources}
        into = [p for p in subjects.named(session, collection_id, body.subject) if p.id not in theirs]
        for source in sources:
            if into:
                sequence = merges.merge(session, source, into[0], by=key().name).head
                lawful.require(session, mine, into[0])
            else:
                people.change(session, source, name=body.subject)
    if sequence is not None:
        gateway().waking.wake()
        found.wait_until_searchable(gallery_of(collection()), sequence)
    return {"updated": True}


@door("delete", "/recognition/subjects/<subject>", "manage", responses={200: SubjectOut})
def delete_subject(path: SubjectPath) -> ResponseReturnValue:
    """Erase a person: photos, faces, chips and embeddings."""
    with gateway().catalog.transaction() as session:
        erased = of_name(session, collection_of(session, collection()).id, path.subject)
        auditing.note_people(erased)
        name = erased[0].name
        for person in erased:
            people.erase(session, person, asking())
    gateway().waking.wake()
    return {"subject": name}


@door("delete", "/recognition/subjects", "manage", responses={200: Deleted})
def delete_subjects() -> ResponseReturnValue:
    """Erase everybody in the collection."""
    return {"deleted": erase_all()}


def of_name(session: Session, collection_id: int, name: str) -> list[Person]:
    """Everyone of that name.

    Raises:
        NotFound: Nobody has it.
    """
    of = subjects.named(session, collection_id, name)
    if not of:
        raise NotFound("subject", name)
    return of


def erase_all() -> int:
    """Erase everybody in the collection, some at a time. Returns how many they were."""
    count = 0
    while True:
        with gateway().catalog.transaction() as session:
            erased = subjects.some(session, collection_of(session, collection()).id)
            auditing.note_people(erased)
            for person in erased:
                people.erase(session, person, asking())
        if not erased:
            gateway().waking.wake()
            return count
        count += len(erased)
