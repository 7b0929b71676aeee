"""Photos: taken in, shown, deleted; and the originals, for those who may."""

from collections.abc import Sequence
from dataclasses import replace

from flask import Response, url_for
from flask.typing import ResponseReturnValue
from flask_openapi import FileStorage
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from services import moments
from services.catalog import people, photos
from services.catalog.importing import jobs, source_files
from services.catalog.privacy import bases
from services.catalog.schema import Job, Photo
from services.errors import BrokerUnavailable, InvalidRequest, NotFound
from services.formats import MEDIA_TYPES
from services.gateway import answers, uploads
from services.gateway.auditing import requests as auditing
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway, key
from services.gateway.privacy import erasures
from services.gateway.privacy.lawful import Terms, consent_of
from services.gateway.streaming import streamed
from services.intake import Taken as TakenIn
from services.intake import Upload, take
from services.labels import Label
from services.logs import logger

ENROL_AT_MOST = 8
"""Requests of no more photos than this go before imports."""

resource = Resource("photos", "Photos that are kept")


class PhotoPath(BaseModel):
    """Which photo."""

    photo_id: str = Field(max_length=64)


class PhotoForm(Terms):
    """Photos, and at most one of `person_id`, `external_id` (with `person` as its name) and `person`."""

    photo: list[FileStorage] = Field(description="One or more photos.")
    # Plain strings: flask-openapi reads a field of any other type as JSON, and somebody may be called 123.
    job: str = Field(default="", max_length=64, description="An open import that they belong to.")
    person_id: str = Field(default="", max_length=64)
    external_id: str = Field(default="", max_length=256)
    person: str = Field(default="", max_length=1000, description="A name.")
    labels: str = Field(
        default="",
        max_length=500_000,
        description="Instead of these: JSON, a list with one object for each photo: `{person?, external_id?, person_id?, "
        "attributes?, consent_given_at?, consent_notice?, expires_at?}`.",
    )


class Seen(Taken):
    """The file of a source that a photo is, as it was when it was read."""

    size_bytes: int = Field(ge=0, lt=2**63)
    modified_ns: int = Field(ge=0, lt=2**63)
    whose: str = Field(max_length=64, description="Hash of what its person is known by in the source.")
    label: str = Field(max_length=64, description="Hash of all that the source says of them.")


class LabelIn(Terms):
    """Whom one photo shows."""

    person: str | None = Field(default=None, max_length=1000)
    external_id: str | None = Field(default=None, min_length=1, max_length=256)
    person_id: str | None = Field(default=None, max_length=64, description="Instead of person and external_id.")
    attributes: dict[str, str] = Field(default_factory=dict, max_length=50)
    seen: Seen | None = Field(
        default=None, description="The file that it is, of the source that the import brings in step."
    )


_LABELS = TypeAdapter(list[LabelIn])


@resource.door("post", "/photos", "enrol", responses={202: answers.AcceptedOut})
def add(query: InCollection, form: PhotoForm) -> ResponseReturnValue:
    """Take photos in. 202: the bytes are kept, and the job tells when their faces can be found."""
    received = uploads.photos()
    job, taken = take_in(query.collection, received, labels_of(form, len(received)), job_id=form.job or None)
    return accepted(job, taken)


@resource.door("get", "/photos/<photo_id>", "read", responses={200: answers.PhotoOut})
def show(path: PhotoPath, query: InCollection) -> ResponseReturnValue:
    """One photo with its faces."""
    with gateway().catalog.reading() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
        found = photos.faces_of(session, photo)
        named = people.named(session, [face.person_id for face in found if face.person_id is not None])
        return answers.photo_out(photo, found, named)


@resource.door("delete", "/photos/<photo_id>", "manage", responses={200: erasures.ErasedOut})
def delete(path: PhotoPath, query: erasures.Erased) -> ResponseReturnValue:
    """Delete a photo with its faces, chips and embeddings. The receipt says what is gone now, and what by when."""
    with gateway().catalog.transaction() as session:
        photo = photos.by_public_id(session, collection_of(session, query.collection).id, path.photo_id)
        entry = photos.erase(session, photo, erasures.asking(urgent=query.now))
    gateway().waking.wake()
    return erasures.erased(entry)


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
    return raw_of(photo)


def raw_of(photo: Photo) -> Response:
    """The original file of a photo."""
    size_bytes = gateway().store.size(photo.object_key)
    response = streamed(photo.object_key, MEDIA_TYPES.get(photo.format))
    response.headers["Content-Length"] = str(size_bytes)
    response.headers["Content-Disposition"] = f'attachment; filename="{photo.public_id}.{photo.format}"'
    return response


def picture(key: str) -> Response:
    """A JPEG of ours from the store; its id is never used for other bytes, so it may be kept."""
    response = Response(gateway().store.get(key), mimetype="image/jpeg")
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    return response


def labels_of(form: PhotoForm, count: int) -> list[Label | None]:
    """Whom the request says that each of its *count* photos shows.

    Raises:
        InvalidRequest: It says so twice, or not once for each photo.
    """
    if form.person_id and (form.external_id or form.person):
        raise InvalidRequest(
            "Give person_id, or external_id with person as its name, or person; not person_id with others."
        )
    one = Label(form.person or None, form.external_id or None, form.person_id or None)
    if not form.labels:
        return [None if one == Label() else _on_terms(one, form)] * count
    if one != Label():
        raise InvalidRequest("labels: give these or one label for all photos, not both.")
    try:
        given = _LABELS.validate_json(form.labels)
    except ValidationError:
        raise InvalidRequest("labels: give a JSON list of objects with person, external_id and attributes.") from None
    if len(given) != count:
        raise InvalidRequest(f"labels: {len(given)} for {count} photos; give one for each, in their order.")
    return [_label(each) for each in given]


def _label(given: LabelIn) -> Label | None:
    if given.person is None and given.external_id is None and given.person_id is None:
        return None
    seen = None if given.seen is None else source_files.Seen(**given.seen.model_dump())
    if given.person_id is not None:
        return _on_terms(Label(person_id=given.person_id, seen=seen), given)
    return _on_terms(Label(given.person, given.external_id, None, given.attributes, seen=seen), given)


def _on_terms(label: Label, given: Terms) -> Label:
    end = None if not given.expires_at else moments.end(given.expires_at, "expires_at")
    return replace(label, consent=consent_of(given.consent_given_at, given.consent_notice), expires_at=end)


def take_in(
    collection: str, received: Sequence[Upload], labels: Sequence[Label | None], *, job_id: str | None = None
) -> tuple[Job, list[TakenIn]]:
    """Keep what was received, in the job named or one of its own, and send it to the workers."""
    catalog = gateway().catalog
    if job_id is not None:
        with catalog.reading() as session:
            job = jobs.by_public_id(session, collection_of(session, collection).id, job_id)
    else:
        queue = "enrol" if len(received) <= ENROL_AT_MOST else "bulk"
        with catalog.transaction() as session:
            mine = collection_of(session, collection)
            if gateway().require_basis:
                bases.require(mine)
            job = jobs.create(session, mine.id, kind="upload", queue=queue)
            job.asked_by = key().public_id
    taken = take(catalog, gateway().store, job.id, received, labels, require_basis=gateway().require_basis)
    auditing.note(job=job.public_id, photos=len(taken), photo_ids=auditing.some(one.photo_id for one in taken))
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
