"""Checks: whether catalog, photo store and embeddings of a collection still agree, looked at by request or by schedule."""

from typing import Annotated, Any, Literal

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from services.catalog import checks, computations
from services.catalog.schema import Computation, Job
from services.gateway import answers
from services.gateway.answers import time_of
from services.gateway.doors import InCollection, Page, Resource, Taken, collection_of, gateway
from services.gateway.modelling.computing import begin
from services.gateway.paging import number_after, page_of

resource = Resource("checks", "Whether what is kept is whole")

HowMany = Annotated[int, Field(ge=0, le=10**9)] | Literal["all"]


class CheckIn(Taken):
    """What is to be looked at."""

    objects: bool = Field(
        default=True, description="Every row has its objects, every object a row; models and snapshots whole."
    )
    checksums: HowMany = Field(default=1000, description="So many photos are held against their SHA-256, or `all`.")
    embeddings: HowMany = Field(
        default=1000, description="So many faces are embedded anew under every model kept ready, or `all`."
    )
    repair: bool = Field(default=False, description="Mend what can be mended.")
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="By which they are drawn; else the job's own.")
    collection: str | None = Field(default=None, max_length=64, description="As in the query, which it goes before.")


class CheckOut(BaseModel):
    """A check and what it found."""

    job: str
    state: str = Field(description="queued, running, done, failed or cancelled")
    scheduled: bool
    ok: bool | None = Field(description="Nothing was wrong. Null while it has not ended.")
    problems: dict[str, int] = Field(description="How many of each kind were found.")
    mended: dict[str, int]
    remaining: dict[str, int] = Field(description="How many of each kind are left.")
    result: dict[str, Any] | None = Field(description="All of it, with up to a hundred named of each kind.")
    error: str | None
    created_at: str
    finished_at: str | None


class CheckPage(BaseModel):
    """Checks, newest first."""

    items: list[CheckOut]
    next_cursor: str | None


@resource.door("post", "/checks", "admin", responses={202: answers.JobRef})
def begin_check(query: InCollection, body: CheckIn) -> ResponseReturnValue:
    """Look whether catalog, photo store and embeddings of a collection still agree, and mend it if asked to."""
    wanted = body.model_dump(exclude_none=True, exclude={"collection"})
    return begin(computations.CHECK, body.collection or query.collection, wanted, source=checks.source_of(wanted))


@resource.door("get", "/checks", "read", responses={200: CheckPage})
def index(query: Page) -> ResponseReturnValue:
    """Checks of a collection, newest first."""
    with gateway().catalog.reading() as session:
        collection_id = collection_of(session, query.collection).id
        before = number_after(query.cursor) or None
        found = checks.page(session, collection_id, limit=query.limit + 1, before=before)
    rows = [(_told(job, computation), job.id) for job, computation in found[: query.limit]]
    return page_of(rows, more=len(found) > query.limit)


def last_out(last: tuple[Job, Computation] | None) -> dict[str, Any] | None:
    """What status tells of a collection's last check: its job, whether all was well, how many problems of each kind are left."""
    if last is None:
        return None
    job, computation = last
    shown = _told(job, computation)
    return {name: shown[name] for name in ("job", "ok", "problems", "mended", "remaining", "finished_at")}


def _told(job: Job, computation: Computation) -> dict[str, Any]:
    """See :class:`CheckOut`."""
    result = computation.result or {}
    return {
        "job": job.public_id,
        "state": computation.state,
        "scheduled": job.source == checks.SCHEDULED,
        "ok": result.get("ok"),
        "problems": result.get("problems", {}),
        "mended": result.get("mended", {}),
        "remaining": result.get("remaining", {}),
        "result": computation.result,
        "error": job.error,
        "created_at": time_of(job.created_at),
        "finished_at": time_of(computation.finished_at),
    }
