"""What the gateway answers of one job, summed up."""

from typing import Any

from pydantic import Field
from sqlalchemy.orm import Session

from services.catalog.importing import outcomes
from services.catalog.importing.jobs import Progress
from services.catalog.schema import Job
from services.gateway import answers


class WholeJobOut(answers.JobOut):
    """A job with what it was asked and what came of it."""

    parameters: dict[str, Any] | None
    result: dict[str, Any] | None
    people: int = Field(description="Of how many people an import has enrolled a photo.")
    reasons: dict[str, int] = Field(description="How many photos were rejected for which reason, most first.")


def whole_job_out(session: Session, job: Job, progress: Progress) -> dict[str, Any]:
    """See :class:`WholeJobOut`."""
    computation = progress.computation
    return {
        **answers.job_out(job, progress),
        "parameters": None if computation is None else computation.parameters,
        "result": None if computation is None else computation.result,
        "people": outcomes.people(session, job),
        "reasons": outcomes.by_reason(session, job) if progress.rejected else {},
    }
