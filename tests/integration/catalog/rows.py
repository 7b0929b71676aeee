"""Rows that several tests of the catalog need."""

import hashlib

from sqlalchemy.orm import Session

from services.catalog import collections, generations, log, photos
from services.catalog.importing import jobs
from services.catalog.schema import Collection, Embedding, Face, Generation, Item, Job, Model, Person, Photo, new_id


def gallery(session: Session) -> Collection:
    """The default collection."""
    return collections.by_name(session, collections.DEFAULT)


def model(session: Session) -> Model:
    """An embedder that nothing computes with."""
    row = Model(
        public_id=new_id("mod"), kind="embedder", name="test", digest=new_id("d"), state="candidate", dimension=2
    )
    session.add(row)
    session.flush()
    return row


def generation(session: Session, of: Model, *, round_: int = 0) -> Generation:
    """One more live generation of the default collection, prepared though nothing may be in it; the first is the active one."""
    collection = gallery(session)
    if collection.generation_id is None:
        collection.round = round_
        return generations.first(session, collection, of.id, None)
    made = generations.begin(session, collection.id, of.id, None, round_=round_)
    made.state = generations.PREPARED
    session.flush()
    return made


def photo(session: Session, content: str) -> Photo:
    """A photo of that content."""
    collection = gallery(session)
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    public_id = new_id("pho")
    row = Photo(
        public_id=public_id,
        collection_id=collection.id,
        sha256=sha256,
        size_bytes=len(content),
        format="JPEG",
        source_name=f"{content}.jpg",
        object_key=f"photos/{collection.id}/{public_id}",
    )
    assert photos.add(session, row)
    found = photos.by_content(session, collection.id, sha256)
    assert found is not None
    return found


def photo_of(session: Session, item: Item) -> Photo:
    """The photo of an item."""
    assert item.photo_id is not None
    return session.get_one(Photo, item.photo_id)


def face(session: Session, of: Photo, person: Person | None, *, embedded_by: Model | None = None) -> Face:
    """A face with a chip, logged, and embedded where a model is given."""
    public_id = new_id("fac")
    row = Face(
        public_id=public_id,
        collection_id=of.collection_id,
        photo_id=of.id,
        person_id=None if person is None else person.id,
        rule="test",
        box=[0.0, 0.0, 10.0, 10.0],
        score=1.0,
        chip_key=f"chips/{of.collection_id}/{public_id}",
    )
    session.add(row)
    session.flush()
    if embedded_by is not None:
        session.add(Embedding(face_id=row.id, model_id=embedded_by.id, vector=b"\x00\x3c\x00\x00", variant="fp32"))
        session.flush()
    log.append(session, of.collection_id, [log.Change("add", row.id, row.person_id)])
    return row


def item(session: Session, job: Job, content: str) -> Item:
    """A queued item with a photo of that content."""
    return jobs.add_item(session, job, f"{content}.jpg", photo=photo(session, content))


def job(session: Session) -> Job:
    """A closed import."""
    return jobs.create(session, gallery(session).id, kind="import", queue="bulk")
