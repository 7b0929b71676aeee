"""Checks: whether catalog and photo store still agree. Whose turn it is, and what the last ones found."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.catalog import computations
from services.catalog.schema import Collection, Computation, Job, Photo, now

SCHEDULED, WHOLE, PARTIAL = "schedule", "", "partial"
"""Sources of a check's job. What looked at a part only is no answer to whether all is well."""

PROBLEMS: Mapping[str, str] = {
    "photo_missing": "The photo store has lost the photo. Import it again, or: colega restore DEST --only objects.",
    "photo_altered": "The photo has other bytes than were imported. Run: colega restore DEST --only objects; or delete it and import it again.",
    "chip_missing": "The photo store has lost the chip. A repair cuts it again from the photo.",
    "chip_damaged": "The chip cannot be read, or is not the face's. A repair cuts it again from the photo.",
    "thumbnail_missing": "The photo store has lost the thumbnail. A repair makes it again from the photo.",
    "thumbnail_damaged": "The thumbnail does not open. A repair makes it again from the photo.",
    "object_stray": "An object that no row names, older than an hour. A repair deletes it.",
    "embedding_missing": "A face that has a chip has no embedding. A repair embeds it from the chip.",
    "embedding_malformed": "An embedding that is none: not finite, not of norm 1 or of another length. A repair makes it anew.",
    "embedding_wrong": "An embedding that is not what the model says of the chip. A repair makes it anew.",
    "embedding_extra": "A face kept as box and score has an embedding. A repair removes it.",
    "face_left_out": "A face is missing in a generation that is kept ready. A repair carries it over.",
    "model_incomplete": "Files of a model are missing or damaged in the photo store. A repair puts this machine's copy back.",
    "snapshot_incomplete": "Files of a snapshot of the index are missing. A repair gives it up; searchers write another.",
}
"""Kinds of problems: what each is, and what ``--repair`` or whoever reads it does about it."""

_KEPT_DAYS = 30


def due(session: Session, every_s: float) -> Collection | None:
    """The collection that waits longest for its scheduled check; None where nobody's turn is, or one is under way.

    A collection is first checked when it is *every_s* old, and one without photos not at all, but for the oldest: its check
    looks after what belongs to no collection.
    """
    mine = (Job.kind == computations.CHECK, Computation.job_id == Job.id)
    if session.scalar(select(Job.id).where(*mine, Computation.state.not_in(computations.ENDS)).limit(1)) is not None:
        return None
    last = select(func.max(Job.created_at)).where(
        Job.collection_id == Collection.id, Job.kind == computations.CHECK, Job.source == SCHEDULED
    )
    since = func.coalesce(last.scalar_subquery(), Collection.created_at)
    has_photos = select(Photo.id).where(Photo.collection_id == Collection.id).exists()
    first = select(func.min(Collection.id)).scalar_subquery()
    waiting = select(Collection).where(since < now() - every_s, has_photos | (Collection.id == first))
    return session.scalar(waiting.order_by(since, Collection.id).limit(1))


def is_first(session: Session, collection_id: int) -> bool:
    """Whether a collection is the oldest: its check looks after what belongs to no collection."""
    return session.scalar(select(func.min(Collection.id))) == collection_id


def forget_old(session: Session) -> None:
    """Delete scheduled checks that are older than a month, but the last of each collection."""
    last = select(func.max(Job.id)).where(Job.kind == computations.CHECK).group_by(Job.collection_id)
    old = select(Job.id).where(
        Job.kind == computations.CHECK,
        Job.source == SCHEDULED,
        Job.created_at < now() - _KEPT_DAYS * 86_400.0,
        Job.id.not_in(last),
    )
    numbers = session.scalars(old).all()
    session.execute(sql_delete(Computation).where(Computation.job_id.in_(numbers)))
    session.execute(sql_delete(Job).where(Job.id.in_(numbers)))


def latest(session: Session) -> dict[int, tuple[Job, Computation]]:
    """By collection, the last check of all of it that has ended as done."""
    numbers = (
        select(func.max(Job.id))
        .join(Computation, Computation.job_id == Job.id)
        .where(Job.kind == computations.CHECK, Job.source != PARTIAL, Computation.state == "done")
        .group_by(Job.collection_id)
    )
    rows = session.execute(
        select(Job, Computation).join(Computation, Computation.job_id == Job.id).where(Job.id.in_(numbers))
    )
    return {job.collection_id: (job, computation) for job, computation in rows}


def page(
    session: Session, collection_id: int, *, limit: int, before: int | None = None
) -> Sequence[tuple[Job, Computation]]:
    """Checks of a collection, newest first, at most *limit*, older than number *before*."""
    wanted = (
        select(Job, Computation)
        .join(Computation, Computation.job_id == Job.id)
        .where(Job.collection_id == collection_id, Job.kind == computations.CHECK)
    )
    if before is not None:
        wanted = wanted.where(Job.id < before)
    return [(job, computation) for job, computation in session.execute(wanted.order_by(Job.id.desc()).limit(limit))]


def source_of(parameters: Mapping[str, Any]) -> str:
    """The source of a job with these parameters: whether it looks at all there is to look at."""
    wholly = parameters.get("objects", True) and parameters.get("embeddings", 1) and parameters.get("checksums", 1)
    return WHOLE if wholly else PARTIAL
