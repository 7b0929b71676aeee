"""The ledger of erasures: who and what was deleted for good, by id and time, in the transaction that deleted it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.catalog.schema import Collection, new_id, now
from services.catalog.tables.privacy import Erasure

WITHIN_S = 86_400.0
"""Within so long nothing of what was deleted is left anywhere, unless somebody says otherwise."""

Cause = Literal["asked", "expired", "withdrawn", "left", "replayed"]


@dataclass(frozen=True, slots=True)
class Asking:
    """Why something is deleted for good, and by when all of it has to be gone."""

    cause: Cause = "asked"
    by: str | None = None
    """Public id of the key, where somebody asked."""
    within_s: float = WITHIN_S
    urgent: bool = False
    """Somebody waits for it."""


ASKED = Asking()


def enter(
    session: Session,
    collection_id: int,
    sequence: int,
    asking: Asking,
    *,
    person: str | None = None,
    merged: Sequence[str] = (),
    faces: Iterable[str] = (),
    photos: Iterable[str] = (),
) -> Erasure:
    """Write down what this transaction deletes.

    Args:
        session: The transaction that deletes it.
        collection_id: Of the collection.
        sequence: Its head, after the removal was logged.
        asking: Why, and by when.
        person: Public id of who is erased; None where photos or faces alone are deleted.
        merged: Public ids of who had been merged into them.
        faces: Public ids of those that go.
        photos: As well.
    """
    epoch = session.scalar(select(Collection.epoch).where(Collection.id == collection_id))
    assert epoch is not None
    at = session.scalar(select(now()))
    assert at is not None
    entry = Erasure(
        public_id=new_id("era"),
        collection_id=collection_id,
        person=person,
        merged=list(merged),
        faces=list(dict.fromkeys(faces)),
        photos=list(dict.fromkeys(photos)),
        sequence=sequence,
        epoch=epoch,
        cause=asking.cause,
        asked_by=asking.by,
        asked_at=at,
        due_at=at + asking.within_s,
        urgent=asking.urgent,
    )
    session.add(entry)
    session.flush()
    return entry


def last(session: Session, collection_id: int) -> int:
    """The number of the last entry of a collection that was closed, in its present history; -1 while there is none. For who opens an old copy."""
    mine = (Erasure.collection_id == collection_id, Erasure.closed_at.is_not(None), Erasure.epoch == Collection.epoch)
    wanted = select(func.max(Erasure.sequence)).join(Collection, Collection.id == Erasure.collection_id)
    return session.scalar(wanted.where(*mine)) or -1
