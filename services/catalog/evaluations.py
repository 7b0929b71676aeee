"""Evaluations: how good models were on labelled faces."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from services.catalog.schema import Evaluation, Job, new_id
from services.errors import NotFound


def add(session: Session, job: Job, figures: Mapping[str, Any], report_key: str | None) -> Evaluation:
    """Note the figures of an evaluation of a job's collection, and where its report is."""
    row = Evaluation(
        public_id=new_id("eva"),
        job_id=job.id,
        collection_id=job.collection_id,
        figures=dict(figures),
        report_key=report_key,
    )
    session.add(row)
    session.flush()
    return row


def by_public_id(session: Session, collection_id: int, public_id: str) -> tuple[Evaluation, str | None]:
    """The evaluation of that id, and the public id of its job where that is kept.

    Raises:
        NotFound: There is none in this collection.
    """
    found = session.execute(_with_job(collection_id).where(Evaluation.public_id == public_id)).first()
    if found is None:
        raise NotFound("evaluation", public_id)
    return found[0], found[1]


def page(
    session: Session, collection_id: int, *, limit: int, before: int | None = None
) -> list[tuple[Evaluation, str | None]]:
    """Evaluations, newest first, at most *limit*, older than number *before*; each with the public id of its job."""
    wanted = _with_job(collection_id)
    if before is not None:
        wanted = wanted.where(Evaluation.id < before)
    return [(row, job) for row, job in session.execute(wanted.order_by(Evaluation.id.desc()).limit(limit))]


def _with_job(collection_id: int) -> Select[Evaluation, str]:
    joined = select(Evaluation, Job.public_id).outerjoin(Job, Job.id == Evaluation.job_id)
    return joined.where(Evaluation.collection_id == collection_id)
