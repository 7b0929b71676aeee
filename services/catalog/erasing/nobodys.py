"""Faces of nobody that were kept for review, and are not any longer."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from services.catalog import faces, log
from services.catalog.erasing import ledger
from services.catalog.erasing.ledger import ASKED, Asking
from services.catalog.schema import Face


def delete(session: Session, collection_id: int, found: Sequence[Face], asking: Asking = ASKED) -> None:
    """Delete faces of a collection for good, ordered by photo, that are still there and still nobody's."""
    changes, gone = [], []
    for face in found:
        rows = faces.rows_of(session, face)
        if rows and all(row.person_id is None for row in rows):
            gone.append(face.public_id)
            changes += [change for row in rows for change in faces.remove_rows(session, row)]
    head = log.append(session, collection_id, changes).head
    if gone:
        ledger.enter(session, collection_id, head, asking, faces=gone)
