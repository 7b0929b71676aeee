"""Imports: jobs to upload into, and archives that a worker unpacks."""

from typing import Literal

from flask import request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError

from services.catalog.importing import jobs, sources
from services.catalog.schema import Job
from services.errors import BrokerUnavailable, ColegaError, InvalidRequest, PhotoRefused
from services.gateway import answers, problems
from services.gateway.doors import InCollection, Resource, Taken, collection_of, gateway, key
from services.gateway.uploads import Spooled
from services.logs import logger
from services.photos import keys
from services.rejections import Rejection

resource = Resource("imports", "Many photos at once")

_ARCHIVES = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "tar.gz", b"\xfd7zXZ\x00": "tar.xz"}


class ImportIn(Taken):
    """What is to be imported. As JSON it opens a job to upload into; with a multipart `archive` a worker unpacks it."""

    source: str = Field(default="", max_length=1024, description="Where it comes from, in words.")
    layout: Literal["directory", "filename", "manifest", "auto"] = "auto"
    faces: Literal["largest", "all", "reject"] = Field(
        default="largest", description="What a labelled photo of several faces gives."
    )
    sync: str | None = Field(default=None, max_length=64, description="Id of the source that it brings in step.")
    expected: int | None = Field(default=None, ge=0, le=100_000_000, description="How many photos are to come.")


class JobPath(BaseModel):
    """Which job."""

    job_id: str = Field(max_length=64)


@resource.door("post", "/imports", "enrol", responses={202: answers.JobRef})
def create(query: InCollection) -> ResponseReturnValue:
    """Open an import to upload into (JSON), or have an archive unpacked (multipart `archive`: zip, tar, tar.gz, tar.xz)."""
    try:
        wanted = ImportIn.model_validate(request.get_json() if request.is_json else request.form.to_dict())
    except ValidationError as error:
        return problems.invalid(error)
    archive = request.files.get("archive")
    if archive is None and not request.is_json:
        raise InvalidRequest("archive: send a zip or tar as multipart/form-data, or JSON to open an import.")
    if archive is not None:
        _require_archive(archive.stream)
    job_source: int | None = None
    with gateway().catalog.transaction() as session:
        collection = collection_of(session, query.collection)
        if wanted.sync is not None:
            job_source = sources.by_public_id(session, collection.id, wanted.sync).id
        job = jobs.create(
            session,
            collection.id,
            kind="import",
            queue="bulk",
            source=wanted.source or (archive.filename or "" if archive is not None else ""),
            faces=wanted.faces,
            closed=False,
            expected=wanted.expected,
        )
        job.asked_by = key().public_id
        job.layout = wanted.layout
        job.archive = archive is not None
        job.source_id = job_source
    if archive is not None:
        assert isinstance(archive.stream, Spooled)
        try:
            gateway().store.put(keys.archive(job.public_id), archive.stream.path)
        except ColegaError:
            with gateway().catalog.transaction() as session:  # Nobody is told of it, and no worker is to look for it.
                jobs.cancel(session, session.get_one(Job, job.id))
            raise
        try:
            gateway().queue.unpack(job.id)
        except BrokerUnavailable:
            logger().warning("archive.not_sent", job=job.public_id)
    return {"job": job.public_id}, 202, {"Location": url_for("jobs.show", job_id=job.public_id)}


@resource.door("post", "/imports/<job_id>/close", "enrol", responses={200: answers.JobOut})
def close(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """Say that all photos of an import were sent. Saying it twice is fine."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        jobs.close(session, job)
        return answers.job_out(job, jobs.progress(session, job))


def _require_archive(stream: object) -> None:
    assert isinstance(stream, Spooled)
    if stream.is_too_large:
        raise PhotoRefused(Rejection.TOO_LARGE, "The archive is larger than COLEGA_MAX_ARCHIVE_MB. Split it.")
    is_tar = stream.head[257:262] == b"ustar"
    if not is_tar and not any(stream.head.startswith(signature) for signature in _ARCHIVES):
        raise PhotoRefused(Rejection.BAD_ARCHIVE, "The file is no zip, tar, tar.gz or tar.xz.")
