"""Objects to delete from the photo store, noted by the transaction that deleted their rows."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from services.catalog.schema import Removal


def note(session: Session, *object_keys: str | None) -> None:
    """Remember objects whose row goes with this transaction; None is passed over."""
    rows = [{"object_key": key} for key in object_keys if key]
    if rows:
        session.execute(insert(Removal), rows)


def waiting(session: Session, limit: int) -> Sequence[Removal]:
    """The oldest *limit* objects to delete."""
    return session.scalars(select(Removal).order_by(Removal.id).limit(limit)).all()


def done(session: Session, ids: Sequence[int]) -> None:
    """Forget objects that are gone from the store."""
    session.execute(delete(Removal).where(Removal.id.in_(ids)))
