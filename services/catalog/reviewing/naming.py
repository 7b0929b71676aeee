"""Naming: whose many faces are, said at once; and what a look at a face came to. One transaction, one log append."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog import faces, log
from services.catalog.erasing import ledger
from services.catalog.erasing.ledger import ASKED, Asking
from services.catalog.reviewing import not_same
from services.catalog.schema import Face, Person, Photo
from services.errors import Conflict, NotFound

CONFIRMED = "confirmed"
"""``assigned_by`` of a face that somebody has looked at and found to be whose it is."""


class Named(NamedTuple):
    """What became of the faces."""

    head: int
    """The collection's new one."""
    faces: list[str]
    """Those that were there, by public id, in the order they were given in."""


def assign(session: Session, collection_id: int, public_ids: Sequence[str], person: Person | None) -> Named:
    """Say whose faces are, or that they are nobody's, in every round. Faces that are gone, or were kept as boxes, are passed over.

    Raises:
        NotFound: The person was erased a moment ago.
    """
    if person is not None:
        _must_be_there(session, person)
    rows = [row for row in _locked(session, collection_id, public_ids) if row.chip_key is not None]
    changes = faces.give(session, rows, person, by="hand")
    return _told(session, collection_id, public_ids, rows, changes)


def reject(session: Session, collection_id: int, public_ids: Sequence[str], person: Person, *, by: str) -> Named:
    """Remember that faces do not show *person*; those that were given to them are nobody's from now on.

    Raises:
        Conflict: Too much was said of one of them.
        NotFound: The person was erased a moment ago.
    """
    _must_be_there(session, person)
    rows = _locked(session, collection_id, public_ids)
    there = {row.public_id for row in rows}
    not_same.reject(session, collection_id, [each for each in public_ids if each in there], person, by=by)
    changes = faces.give(session, [row for row in rows if row.person_id == person.id], None, by="hand")
    return _told(session, collection_id, public_ids, rows, changes)


def take_back(session: Session, collection_id: int, public_ids: Sequence[str], person: Person) -> Named:
    """Forget that faces do not show *person*."""
    rows = _locked(session, collection_id, public_ids)
    for face in {row.public_id for row in rows}:
        not_same.take_back(session, face, person=person)
    return _told(session, collection_id, public_ids, rows, [])


def take_apart(session: Session, collection_id: int, face: str, others: Sequence[str], *, by: str) -> None:
    """Remember that *face* does not show whom *others* show; those that are gone are passed over.

    Raises:
        Conflict: Too much was said of it.
        NotFound: It is gone.
    """
    there = {row.public_id for row in _locked(session, collection_id, [face, *others])}
    if face not in there:
        raise NotFound("face", face)
    not_same.take_apart(session, collection_id, face, [each for each in others if each in there], by=by)


def delete(session: Session, collection_id: int, public_ids: Sequence[str], asking: Asking = ASKED) -> Named:
    """Delete faces in every round, their chips and their embeddings; their photos stay."""
    rows = _locked(session, collection_id, public_ids)
    there = {row.public_id for row in rows}
    changes = [change for row in rows for change in faces.remove_rows(session, row)]
    head = log.append(session, collection_id, changes).head
    if there:
        ledger.enter(session, collection_id, head, asking, faces=sorted(there))
    return Named(head, [each for each in public_ids if each in there])


def confirm(session: Session, face: Face) -> None:
    """Remember that somebody has looked at *face* and found that it is whose it is. It is not doubted again until it is given away.

    Raises:
        Conflict: It is nobody's.
    """
    rows = faces.rows_of(session, face)
    if not any(row.person_id for row in rows):
        raise Conflict(f"Face {face.public_id} is nobody's. Say whose it is first.")
    for row in rows:
        row.assigned_by = None if row.person_id is None else CONFIRMED
    session.flush()


def _must_be_there(session: Session, person: Person) -> None:
    if not faces.still_there(session, person):
        raise NotFound("person", person.public_id)


def _locked(session: Session, collection_id: int, public_ids: Sequence[str]) -> Sequence[Face]:
    """The rows of faces of a collection in all rounds, by number; they and their photos are locked until the transaction ends."""
    mine = (Face.public_id.in_(public_ids), Face.collection_id == collection_id)
    shown = select(Face.photo_id).where(*mine)
    session.execute(select(Photo.id).where(Photo.id.in_(shown)).order_by(Photo.id).with_for_update())
    locked = select(Face).where(*mine).order_by(Face.id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).all()


def _told(
    session: Session, collection_id: int, public_ids: Sequence[str], rows: Sequence[Face], changes: Sequence[log.Change]
) -> Named:
    there = {row.public_id for row in rows}
    return Named(log.append(session, collection_id, changes).head, [each for each in public_ids if each in there])
