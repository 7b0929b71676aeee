"""Jobs: how far they are, their items, and changing one's mind."""

from typing import Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import jobs
from services.gateway import answers
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


@resource.door("get", "/jobs/<job_id>", "read", responses={200: answers.JobOut})
def show(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """How far a job is."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        return answers.job_out(job, jobs.progress(session, job))


@resource.door("get", "/jobs/<job_id>/items", "read", responses={200: ItemPage})
def items(path: JobPath, query: Items) -> ResponseReturnValue:
    """The photos of a job, and how each ended."""
    with gateway().catalog.reading() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        after = number_after(query.cursor)
        found = jobs.items(session, job, state=query.status, limit=query.limit + 1, after=after)
    rows = [(answers.item_out(*row), row[0].id) for row in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


@resource.door("post", "/jobs/<job_id>/cancel", "enrol", responses={200: answers.JobOut})
def cancel(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """End what has not ended; what is done stays."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        jobs.cancel(session, job)
        return answers.job_out(job, jobs.progress(session, job))


@resource.door("post", "/jobs/<job_id>/retry", "enrol", responses={202: answers.JobOut})
def retry(path: JobPath, query: InCollection) -> ResponseReturnValue:
    """Work again on rejected and cancelled photos that are still kept."""
    with gateway().catalog.transaction() as session:
        job = jobs.by_public_id(session, collection_of(session, query.collection).id, path.job_id)
        again = jobs.retry(session, job)
        told = answers.job_out(job, jobs.progress(session, job))
    send(again, job.queue)
    return told, 202
