"""Jobs: how far they are, their items, and changing one's mind."""

from typing import Literal

from flask import Response, stream_with_context
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, model_validator
from sqlalchemy.orm import Session

from services.catalog import computations, photos
from services.catalog.importing import jobs, outcomes
from services.catalog.privacy import consents
from services.catalog.schema import Collection, Job
from services.errors import Conflict
from services.gateway import answers
from services.gateway.doors import InCollection, MayBeLeftOut, Page, Resource, Taken, collection_of, gateway, key
from services.gateway.guarding.auth import require_scope
from services.gateway.importing import reports
from services.gateway.importing.job_answers import WholeJobOut, whole_job_out
from services.gateway.modelling.computing import send_computation
from services.gateway.paging import number_after, page_of
from services.gateway.photos import send
from services.gateway.privacy import lawful
from services.gateway.privacy.lawful import consent_of
from services.labels import Label
from services.rejections import Rejection

resource = Resource("jobs", "What was asked, and how far it is")


class JobPath(BaseModel):
    """Which job."""

    job_id: str = Field(max_length=64)


class Items(Page):
    """Which items."""

    status: Literal["queued", "waiting", "done", "duplicate", "cancelled", "rejected"] | None = None
    reason: Rejection | None = None


class People(Page):
    """Which people of a job."""

    none_taken: bool = Field(default=False, description="Only those all of whose photos were rejected.")


class Report(InCollection):
    """For whom the report is."""

    bom: bool = Field(default=False, description="Begin with a byte order mark, by which spreadsheets know UTF-8.")


class Box(Taken):
    """Where a face is, in full-resolution pixels."""

    x: float = Field(ge=-1e6, le=1e6)
    y: float = Field(ge=-1e6, le=1e6)
    w: float = Field(gt=0, le=1e6)
    h: float = Field(gt=0, le=1e6)


class RetryIn(MayBeLeftOut):
    """What is to be worked on again, and what is known of it by now. Without a body: everything, as it was."""

    photo_id: str | None = Field(default=None, max_length=64, description="Only this photo of the job.")
    person_id: str | None = Field(default=None, max_length=64, description="Whom the photo shows.")
    person: str | None = Field(default=None, max_length=1000, description="The same by name.")
    consent_given_at: str | None = Field(
        default=None, max_length=40, description="That person has agreed, then: a day, or a time with its offset."
    )
    consent_notice: str | None = Field(
        default=None, max_length=64, description="To which notice; else the present one."
    )
    box: Box | None = Field(default=None, description="Which of the photo's faces is meant.")
    faces: Literal["largest", "all", "reject"] | None = Field(
        default=None, description="From now on: what a labelled photo of several faces gives."
    )

    @model_validator(mode="after")
    def _of_one_photo(self) -> "RetryIn":
        if self.photo_id is None and (self.person_id or self.person or self.box):
            raise ValueError("give photo_id: person and box are said of one photo")
        if self.person_id and self.person:
            raise ValueError("give person_id or person, not both")
        if self.consent_given_at and not (self.person_id or self.person):
            raise ValueError("consent_given_at: give person_id or person, too")
        return self


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[answers.JobOut]
    next_cursor: str | None


class SumOut(BaseModel):
    """How the photos of one person ended."""

    person: answers.PersonRef
    photos: int
    rejected: int
    reason: str | None = Field(description="Of all that were rejected; null where there are several.")


class SumPage(BaseModel):
    """People of a job, in the order they were first enrolled."""

    items: list[SumOut]
    next_cursor: str | None


class ItemPage(BaseModel):
    """Items, in the order they were added."""

    items: list[answers.ItemOut]
    next_cursor: str | None


@resource.door("get", "/jobs", "read", responses={200: JobPage})
def index(query: Page) -> ResponseReturnValue:
    """Jobs of a collection, newest first."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        found = jobs.page(session, collection_id, limit=query.limit + 1, before=number_after(query.cursor) or None)
        rows = [(answers.job_out(job, jobs.progress(session, job)), job.id) for job in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/jobs/<job_id>", "read or train", responses={200: WholeJobOut})
def show(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """How far a job is; of a computation that is done, its result."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        return whole_job_out(session, job, jobs.progress(session, job))


@resource.door("get", "/jobs/<job_id>/items", "read", responses={200: ItemPage})
def items(path: JobPath, query: Items) -> ResponseReturnValue:
    """The photos of a job, and how each ended."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        after = number_after(query.cursor)
        found = jobs.items(session, job, state=query.status, reason=query.reason, limit=query.limit + 1, after=after)
    rows = [(answers.item_out(*row), row[0].id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/jobs/<job_id>/people", "read", responses={200: SumPage})
def people(path: JobPath, query: People) -> ResponseReturnValue:
    """Whom the photos of a job are said to show, and how many of each were rejected."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        found = outcomes.by_person(
            session, job, none_taken=query.none_taken, limit=query.limit + 1, after=number_after(query.cursor)
        )
    rows = [
        ({**one._asdict(), "person": answers.person_ref(one.person)}, one.person.id) for one in found[: query.limit]
    ]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("get", "/jobs/<job_id>/report.csv", "read")
def report(path: JobPath, query: Report) -> ResponseReturnValue:
    """How each photo ended, as `colega import --report` says it: `path,person,status,reason,photo_id,faces`.

    A name that a spreadsheet would take for a formula has an apostrophe before it.
    """
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
    lines = stream_with_context(reports.lines(gateway().catalog, job, bom=query.bom))
    response = Response(lines, mimetype="text/csv", content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{job.public_id}.csv"'
    return response


@resource.door("post", "/jobs/<job_id>/cancel", "enrol or train", responses={200: answers.JobOut})
def cancel(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """End what has not ended; what is done stays. A computation needs the scope train, photos need enrol."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        _require_scope_for(job)
        jobs.cancel(session, job)
        return answers.job_out(job, jobs.progress(session, job))


@resource.door("post", "/jobs/<job_id>/retry", "enrol or train", responses={202: answers.JobOut})
def retry(path: JobPath, query: InCollection, body: RetryIn) -> ResponseReturnValue:
    """Work again on rejected and cancelled photos that are still kept; compute again what failed or was cancelled."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        _require_scope_for(job)
        computes = job.kind in computations.KINDS and computations.retry(session, job)
        again = [] if job.kind in computations.KINDS else _items_again(session, job, body)
        told = answers.job_out(job, jobs.progress(session, job))
    if computes:
        send_computation(job.id)
    send(again, job.queue)
    return told, 202


def _items_again(session: Session, job: Job, wanted: RetryIn) -> list[int]:
    """Put items back to work, with what is known of them by now.

    Raises:
        NotFound: There is no such photo or person.
        InvalidRequest: The name cannot be a name.
        Conflict: The photo is not rejected or cancelled in this job.
    """
    if wanted.faces is not None:
        job.faces = wanted.faces
    collection = session.get_one(Collection, job.collection_id)
    if gateway().require_basis:
        for person in outcomes.people_again(session, job) if wanted.photo_id is None else ():
            lawful.require(session, collection, person)
    if wanted.photo_id is None:
        return jobs.retry(session, job)
    photo = photos.by_public_id(session, job.collection_id, wanted.photo_id)
    said: dict[str, object] = {}
    if wanted.person_id or wanted.person:
        label = Label(name=wanted.person, person_id=wanted.person_id)
        person = label.person(session, job.collection_id)
        given = consent_of(wanted.consent_given_at, wanted.consent_notice)
        lawful.require(session, collection, person, given)
        if given is not None:
            consents.record(session, person, given, by=key().public_id)
        said = {"person_id": person.id, "labelled": True}
    if wanted.box is not None:
        said["box"] = [wanted.box.x, wanted.box.y, wanted.box.w, wanted.box.h]
    again = jobs.retry(session, job, photo, **said)
    if not again:
        raise Conflict(f"Photo {wanted.photo_id} is not rejected in this job. Load the job again.")
    return again


def _require_scope_for(job: Job) -> None:
    """See that the key may change this kind of job.

    Raises:
        Forbidden: It may not.
    """
    require_scope("train" if job.kind in computations.KINDS else "enrol")
