"""Chips: where the picture of a face is."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog.faces import of_round
from services.catalog.schema import Face
from services.errors import NotFound


def key_of(session: Session, collection_id: int, public_id: str) -> str | None:
    """The key of a face's chip; None where only its box was kept.

    In the collection's round, or in another where that has no such face: a rebuild has found it, and somebody is to decide about it.

    Raises:
        NotFound: There is no such face in this collection.
    """
    mine = select(Face.chip_key).where(Face.collection_id == collection_id, Face.public_id == public_id)
    found = session.execute(mine.order_by(of_round(collection_id).desc(), Face.round.desc()).limit(1)).one_or_none()
    if found is None:
        raise NotFound("face", public_id)
    key: str | None = found.chip_key
    return key
