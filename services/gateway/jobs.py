"""Jobs: how far they are, their items, and changing one's mind."""

from typing import Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import computations, jobs
from services.catalog.schema import Job
from services.gateway import answers
from services.gateway.auth import require_scope
from services.gateway.computing import send_computation
from services.gateway.doors import InCollection, Page, Resource, collection_of, gateway
from services.gateway.paging import number_after, page_of
from services.gateway.photos import send

resource = Resource("jobs", "What was asked, and how far it is")


class JobPath(BaseModel):
    """Which job."""

    job_id: str = Field(max_length=64)


class Items(Page):
    """Which items."""

    status: Literal["queued", "waiting", "done", "duplicate", "cancelled", "rejected"] | None = None


class JobPage(BaseModel):
    """Jobs, newest first."""

    items: list[answers.JobOut]
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


@resource.door("get", "/jobs/<job_id>", "read or train", responses={200: answers.WholeJobOut})
def show(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """How far a job is; of a computation that is done, its result."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        return answers.whole_job_out(job, jobs.progress(session, job))


@resource.door("get", "/jobs/<job_id>/items", "read", responses={200: ItemPage})
def items(path: JobPath, query: Items) -> ResponseReturnValue:
    """The photos of a job, and how each ended."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        after = number_after(query.cursor)
        found = jobs.items(session, job, state=query.status, limit=query.limit + 1, after=after)
    rows = [(answers.item_out(*row), row[0].id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("post", "/jobs/<job_id>/cancel", "enrol or train", responses={200: answers.JobOut})
def cancel(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """End what has not ended; what is done stays. A computation needs the scope train, photos need enrol."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        _require_scope_for(job)
        jobs.cancel(session, job)
        return answers.job_out(job, jobs.progress(session, job))


@resource.door("post", "/jobs/<job_id>/retry", "enrol or train", responses={202: answers.JobOut})
def retry(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """Work again on rejected and cancelled photos that are still kept; compute again what failed or was cancelled."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        _require_scope_for(job)
        computes = job.kind in computations.KINDS and computations.retry(session, job)
        again = [] if job.kind in computations.KINDS else jobs.retry(session, job)
        told = answers.job_out(job, jobs.progress(session, job))
    if computes:
        send_computation(job.id)
    send(again, job.queue)
    return told, 202


def _require_scope_for(job: Job) -> None:
    """See that the key may change this kind of job.

    Raises:
        Forbidden: It may not.
    """
    require_scope("train" if job.kind in computations.KINDS else "enrol")
