"""Photos: taken in, shown, deleted; and the originals, for those who may."""

from collections.abc import Sequence

from flask import Response, url_for
from flask.typing import ResponseReturnValue
from flask_openapi import FileStorage
from pydantic import BaseModel, Field

from services.catalog import jobs, people, photos
from services.catalog.schema import Job
from services.errors import BrokerUnavailable, InvalidRequest, NotFound
from services.formats import MEDIA_TYPES
from services.gateway import answers, uploads
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway
from services.intake import Label, Upload, take
from services.intake import Taken as TakenIn
from services.logs import logger

ENROL_AT_MOST = 8
"""Requests of no more photos than this go before imports."""

resource = Resource("photos", "Photos that are kept")


class PhotoPath(BaseModel):
    """Which photo."""

    photo_id: str = Field(max_length=64)


class PhotoForm(Taken):
    """Photos, and at most one of `person_id`, `external_id` (with `person` as its name) and `person`."""

    photo: list[FileStorage] = Field(description="One or more photos.")
    job: str | None = Field(default=None, max_length=64, description="An open import that they belong to.")
    person_id: str | None = Field(default=None, max_length=64)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    person: str | None = Field(default=None, max_length=1000, description="A name.")


@resource.door("post", "/photos", "enrol", responses={202: answers.AcceptedOut})
def add(query: InCollection, form: PhotoForm) -> ResponseReturnValue:
    """Take photos in. 202: the bytes are kept, and the job tells when their faces can be found."""
    job, taken = take_in(query.collection, uploads.photos(), label_of(form), job_id=form.job)
    return accepted(job, taken)


@resource.door("get", "/photos/<photo_id>", "read", responses={200: answers.PhotoOut})
def show(path: PhotoPath, query: InCollection) -> ResponseReturnValue:
    """One photo with its faces."""
    with gateway().catalog.reading() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
        found = photos.faces_of(session, photo)
        named = people.named(session, [face.person_id for face in found if face.person_id is not None])
        return answers.photo_out(photo, found, named)


@resource.door("delete", "/photos/<photo_id>", "manage", responses={200: answers.Changed})
def delete(path: PhotoPath, query: InCollection) -> ResponseReturnValue:
    """Delete a photo with its faces, chips and embeddings."""
    with gateway().catalog.transaction() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
        sequence = photos.delete(session, photo)
    gateway().waking.wake()
    return {"sequence": sequence}


@resource.door("get", "/photos/<photo_id>/thumbnail", "read")
def thumbnail(path: PhotoPath, query: InCollection) -> ResponseReturnValue:
    """A small JPEG of a photo, without metadata."""
    with gateway().catalog.reading() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
    if photo.thumbnail_key is None:
        raise NotFound("thumbnail of photo", path.photo_id)
    return picture(photo.thumbnail_key)


@resource.door("get", "/photos/<photo_id>/raw", "manage")
def raw(path: PhotoPath, query: InCollection) -> ResponseReturnValue:
    """The original file, EXIF included, as an attachment."""
    with gateway().catalog.reading() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
    size_bytes = gateway().store.size(photo.object_key)
    response = Response(gateway().store.stream(photo.object_key), mimetype=MEDIA_TYPES.get(photo.format))
    response.headers["Content-Length"] = str(size_bytes)
    response.headers["Content-Disposition"] = f'attachment; filename="{photo.public_id}.{photo.format}"'
    return response


def picture(key: str) -> Response:
    """A JPEG of ours from the store; its id is never used for other bytes, so it may be kept."""
    response = Response(gateway().store.get(key), mimetype="image/jpeg")
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    return response


def label_of(form: PhotoForm) -> Label | None:
    """Whom the request says that its photos show.

    Raises:
        InvalidRequest: It says so twice.
    """
    if form.person_id is not None and (form.external_id is not None or form.person is not None):
        raise InvalidRequest(
            "Give person_id, or external_id with person as its name, or person; not person_id with others."
        )
    if form.person_id is None and form.external_id is None and form.person is None:
        return None
    return Label(form.person, form.external_id, form.person_id)


def take_in(
    collection: str, received: Sequence[Upload], label: Label | None, *, job_id: str | None = None
) -> tuple[Job, list[TakenIn]]:
    """Keep what was received, in the job named or one of its own, and send it to the workers."""
    catalog = gateway().catalog
    with catalog.transaction() as session:
        collection_id = collection_of(session, collection).id
        if job_id is not None:
            job = jobs.by_public_id(session, collection_id, job_id)
        else:
            queue = "enrol" if len(received) <= ENROL_AT_MOST else "bulk"
            job = jobs.create(session, collection_id, kind="upload", queue=queue)
    taken = take(catalog, gateway().store, job.id, received, label)
    send([one.item_id for one in taken if one.item_id is not None], job.queue)
    return job, taken


def send(item_ids: Sequence[int], queue: str) -> None:
    """Send items to the workers. Where the broker is away they wait in the catalog; the sweep sends them later."""
    try:
        gateway().queue.ingest(item_ids, queue)
    except BrokerUnavailable:
        logger().warning("items.not_sent", items=len(item_ids))


def accepted(job: Job, taken: Sequence[TakenIn], **more: object) -> ResponseReturnValue:
    """202 with the job and what became of each upload; the refusal itself where it was a single one."""
    items = [
        {
            "name": one.name,
            "photo_id": one.photo_id,
            "sha256": one.sha256,
            "status": one.status,
            "reason": None if one.reason is None else one.reason.value,
        }
        for one in taken
    ]
    body = {"job": job.public_id, "items": items, **more}
    return body, 202, {"Location": url_for("jobs.show", job_id=job.public_id)}
