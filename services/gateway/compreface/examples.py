"""Examples: the faces of people, called by CompreFace after the photo that they came with."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore

from flask import request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from services.catalog import faces, people, photos, subjects
from services.catalog.importing import jobs
from services.catalog.schema import Collection, Face, Item, Job, Person, Photo
from services.errors import Conflict, NotFound, PhotoRefused, TooManyRequests, WorkersBusy
from services.gateway import uploads
from services.gateway.auditing import requests as auditing
from services.gateway.compreface import failures, found, ids, pictures
from services.gateway.compreface.facade import Asked, collection, door
from services.gateway.compreface.found import FacesQuery, FoundFace, Versions
from services.gateway.compreface.similarity import similarity
from services.gateway.compreface.subjects import Deleted, erase_all
from services.gateway.doors import collection_of, gateway
from services.gateway.guarding import admission
from services.gateway.photos import raw_of, take_in
from services.gateway.privacy import lawful
from services.gateway.privacy.erasures import asking
from services.gateway.searching.search import gallery_of, look, vector_of
from services.gateway.searching.verify import cosine
from services.intake import Upload
from services.labels import Label
from services.rejections import Rejection

FINDABLE_WITHIN_S = 20.0
_POLL_S = 0.03
_MOST_AT_ONCE = 1000
_PAGE, _LONGEST_PAGE = 20, 2000
_PLACES = BoundedSemaphore(8)
"""Requests of this process that wait for a photo to be worked on."""


class AddQuery(FacesQuery):
    """Whom the photo shows."""

    subject: str | None = Field(default=None, max_length=1000, description="A name; they are made where nobody has it.")


class WhoseQuery(Asked):
    """Whose examples."""

    subject: str = Field(default="", max_length=1000, description="A name; all people where none is given.")


class ListQuery(WhoseQuery):
    """Which examples."""

    page: int = Field(default=0, lt=2**31, description="From 0 on.")
    size: int = Field(default=_PAGE, lt=2**31, description="On a page; at most 2000.")


class ImagePath(BaseModel):
    """Which example."""

    image_id: str = Field(max_length=64)


class Example(BaseModel):
    """An example."""

    image_id: str
    subject: str


class Examples(BaseModel):
    """A page of examples, oldest first."""

    faces: list[Example]
    page_number: int
    page_size: int
    total_pages: int
    total_elements: int


class AlikeFace(FoundFace):
    """A face, and how alike it is."""

    subject: str
    similarity: float


class Alike(Versions):
    """The faces of a photo, largest first."""

    result: list[AlikeFace]


@door("post", "/recognition/faces", "enrol", photos=1, responses={201: Example})
def add_example(query: AddQuery) -> ResponseReturnValue:
    """Add a photo (`file`) of one face to a person. 201: a search finds it; 503: it is kept, and found later."""
    if query.subject is None:
        failures.refuse(failures.NO_PARAMETER, "Required parameter subject is missing")
    data = pictures.photo()
    name = people.normalise(query.subject)
    with gateway().catalog.reading() as session:
        mine = collection_of(session, collection())
        lawful.require(session, mine, next(iter(subjects.named(session, mine.id, name)), None))
    gallery = gallery_of(collection())
    answer = look(gallery, [data], model=None)
    if len(found.kept(answer, query.model_copy(update={"limit": 0}))) > 1:
        raise PhotoRefused(Rejection.SEVERAL_FACES, "Send a photo of one face.")
    admission.leave()  # Others may search while this one waits for the workers.
    with _a_place_to_wait():
        face, sequence = _enrol(gallery.collection, name, uploads.kept(pictures.name_of("file"), data))
        found.wait_until_searchable(gallery, sequence)
    auditing.note(object_=face)
    return {"image_id": ids.image_id(face), "subject": query.subject}, 201


@door("get", "/recognition/faces", "read", responses={200: Examples})
def list_examples(query: ListQuery) -> ResponseReturnValue:
    """The examples of a person, or of everybody."""
    number = max(query.page, 0)
    size = min(query.size, _LONGEST_PAGE) if query.size > 0 else _PAGE
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, collection()).id
        of = subjects.named(session, collection_id, query.subject) if query.subject else None
        total = subjects.count_examples(session, collection_id, of)
        page = subjects.examples(session, collection_id, of, limit=size, skipped=number * size)
    return {
        "faces": [{"image_id": ids.image_id(face), "subject": name} for face, name in page],
        "page_number": number,
        "page_size": size,
        "total_pages": -(-total // size),
        "total_elements": total,
    }


@door("delete", "/recognition/faces", "manage", responses={200: Deleted})
def delete_examples(query: WhoseQuery) -> ResponseReturnValue:
    """Erase a person with all examples; everybody where no name is given."""
    with gateway().catalog.transaction() as session:
        collection_id = collection_of(session, collection()).id
        of = subjects.named(session, collection_id, query.subject) if query.subject else None
        count = subjects.count_examples(session, collection_id, of)
        auditing.note_people(of or ())
        for person in of or ():
            people.erase(session, person, asking())
    if of is None:
        erase_all()
    gateway().waking.wake()
    return {"deleted": count}


@door("delete", "/recognition/faces/<image_id>", "manage", responses={200: Example})
def delete_example(path: ImagePath) -> ResponseReturnValue:
    """Delete an example: the face, and its photo where that shows nobody else who is known."""
    told = _delete(path.image_id)
    gateway().waking.wake()
    return told


@door("post", "/recognition/faces/delete", "manage")
def delete_some_examples() -> ResponseReturnValue:
    """Delete the examples of these ids (JSON, a list); those that are not there are passed over."""
    wanted = request.get_json(silent=True)
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        failures.refuse(failures.INVALID, "Send a JSON list of image ids.")
    if len(wanted) > _MOST_AT_ONCE:
        failures.refuse(failures.INVALID, f"{len(wanted)} image ids; {_MOST_AT_ONCE} are taken at once.")
    gone = []
    for image in wanted:
        with suppress(NotFound):
            gone.append(_delete(image))
    gateway().waking.wake()
    return gone


@door("get", "/recognition/faces/<image_id>/img", "manage")
def example_image(path: ImagePath) -> ResponseReturnValue:
    """The photo of an example, as it was sent."""
    with gateway().catalog.reading() as session:
        face, _ = _example(session, path.image_id)
        photo = session.get_one(Photo, face.photo_id)
    auditing.note(object_=photo.public_id)
    return raw_of(photo)


@door("post", "/recognition/faces/<image_id>/verify", "search", photos=1, responses={200: Alike})
def verify_example(path: ImagePath, query: FacesQuery) -> ResponseReturnValue:
    """How alike each face of a photo (`file`) is to an example."""
    photo = pictures.photo()
    gallery = gallery_of(collection())
    with gateway().catalog.reading() as session:
        face, person = _example(session, path.image_id)
    auditing.note(object_=person.public_id, face_id=face.public_id)
    known = vector_of(gallery, face.public_id)
    answer = look(gallery, [photo], model=gallery.model.digest)
    seen = answer["photos"][0]["faces"]
    threshold = found.pair_threshold(gallery)
    result = [
        found.told(answer, query, seen[place])
        | {"subject": person.name, "similarity": similarity(cosine(known, seen[place]["vector"]), threshold)}
        for place in found.kept(answer, query)
    ]
    return found.whole(gallery, query, result)


@contextmanager
def _a_place_to_wait() -> Iterator[None]:
    """One of the threads that may wait for workers; the others stay free for searches.

    Raises:
        TooManyRequests: All wait, and none got free in a while.
    """
    if not _PLACES.acquire(timeout=FINDABLE_WITHIN_S):
        raise TooManyRequests("Too many photos at once. Send the next when one is answered.", retry_after_s=2)
    try:
        yield
    finally:
        _PLACES.release()


def _enrol(mine: Collection, name: str, upload: Upload) -> tuple[str, int | None]:
    """Take a photo in for the person of that name, who is made where there is none, and wait for its end.

    Returns:
        The public id of their face, and the log entry after which it is found.

    Raises:
        PhotoRefused: It cannot be used; nothing of it is left.
        WorkersBusy: It is kept, and has not come to its end in time.
        Conflict: Somebody has changed their mind meanwhile.
    """
    with gateway().catalog.reading() as session:
        known = subjects.named(session, mine.id, name)
    label = Label(person_id=known[0].public_id) if known else Label(name=name)
    job, _ = take_in(mine.name, [upload], [label])
    item, photo, person = _ended(job)
    if item.state == "rejected":
        with gateway().catalog.transaction() as session:
            subjects.take_back(session, item, made_for_it=not known)
        gateway().waking.wake()
        raise PhotoRefused(Rejection(item.reason or Rejection.NO_FACE), item.detail or "The photo cannot be used.")
    with gateway().catalog.reading() as session:
        for face in () if photo is None else photos.faces_of(session, photo):
            if person is not None and face.person_id == person.id:
                return face.public_id, item.sequence
    raise Conflict("The person or the photo was erased, or given to somebody else, while it was being worked on.")


def _ended(job: Job) -> tuple[Item, Photo | None, Person | None]:
    """The one item of *job*, when it has come to its end.

    Raises:
        WorkersBusy: It has not, in time.
    """
    until = time.monotonic() + FINDABLE_WITHIN_S
    while True:
        with gateway().catalog.reading() as session:
            [row] = jobs.items(session, job, limit=1)
        if row[0].state not in jobs.UNFINISHED:
            return row[0], row[1], row[2]
        if time.monotonic() > until:
            raise WorkersBusy(
                f"The photo is kept, and its face is found when job {job.public_id} is done. Do not send it again.",
                retry_after_s=10,
            )
        time.sleep(_POLL_S)


def _example(session: Session, image: str) -> tuple[Face, Person]:
    """The face of that image id, and whose it is.

    Raises:
        NotFound: There is none, or it is nobody's.
    """
    collection_id = collection_of(session, collection()).id
    try:
        face = faces.by_public_id(session, collection_id, ids.face_id(image))
    except NotFound:
        raise NotFound("face", image) from None
    person = None if face.person_id is None else session.get(Person, face.person_id)
    if person is None:
        raise NotFound("face", image)
    return face, person


def _delete(image: str) -> dict[str, str]:
    with gateway().catalog.transaction() as session:
        face, person = _example(session, image)
        auditing.note_people([person], face_id=face.public_id)
        name = person.name
        photo = session.get_one(Photo, face.photo_id)
        known = [each for each in photos.faces_of(session, photo) if each.person_id is not None]
        if len(known) == 1:
            photos.erase(session, photo, asking())
        else:
            faces.erase(session, face, asking())
    return {"image_id": image, "subject": name}
