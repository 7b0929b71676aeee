"""Faces: where they are, whose they are, and their embeddings.

A face has a row in every live round. What is read is the row of one round, by default the collection's; whose a face is, and
that it is gone, is written to all of them. Whoever does that, or adds a row of a face that is there, holds the photo's lock.
"""

from collections.abc import Collection as Some
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from services.catalog import log
from services.catalog.erasing import ledger, removals
from services.catalog.erasing.ledger import ASKED, Asking
from services.catalog.reviewing import not_same
from services.catalog.schema import Collection, Embedding, Face, Item, Person, Photo, new_id
from services.catalog.tables.privacy import Erasure
from services.errors import Conflict, NotFound
from services.rejections import Rejection

_GALLERY = aliased(Collection)


def new_public_id() -> str:
    """A public id for a face."""
    return new_id("fac")


def of_round(collection_id: int | InstrumentedAttribute[int], round_: int | None = None) -> ColumnElement[bool]:
    """Whether a face is of round *round_* of a collection; None is the one that is searched and shown."""
    if round_ is not None:
        return Face.round == round_
    return Face.round == select(_GALLERY.round).where(_GALLERY.id == collection_id).scalar_subquery()


def by_public_id(session: Session, collection_id: int, public_id: str, round_: int | None = None) -> Face:
    """The face of that id in a round; None is the collection's.

    Raises:
        NotFound: There is none in this collection.
    """
    mine = (Face.collection_id == collection_id, Face.public_id == public_id, of_round(collection_id, round_))
    found = session.scalar(select(Face).where(*mine))
    if found is None:
        raise NotFound("face", public_id)
    return found


def rows_of(session: Session, face: Face) -> Sequence[Face]:
    """The rows of a face in all rounds, oldest first; they and the photo are locked until the transaction ends."""
    session.execute(select(Photo.id).where(Photo.id == face.photo_id).with_for_update())
    mine = select(Face).where(Face.public_id == face.public_id, Face.collection_id == face.collection_id)
    locked = mine.order_by(Face.id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).all()


def by_ids(session: Session, face_ids: Some[int]) -> dict[int, tuple[Face, Photo, Person | None]]:
    """The faces of these numbers that still exist, with photo and person: the last word on who."""
    rows = session.execute(
        select(Face, Photo, Person)
        .join(Photo, Photo.id == Face.photo_id)
        .outerjoin(Person, Person.id == Face.person_id)
        .where(Face.id.in_(face_ids))
    )
    return {face.id: (face, photo, person) for face, photo, person in rows}


_FACE, _PHOTO, _PERSON = Face.__table__.c, Photo.__table__.c, Person.__table__.c
_OWNERS = (
    select(
        _FACE.id,
        _FACE.public_id,
        _PHOTO.public_id,
        _PERSON.id,
        _PERSON.public_id,
        _PERSON.name,
        _PERSON.external_id,
    )
    .join(Photo.__table__, _PHOTO.id == _FACE.photo_id)
    .join(Person.__table__, _PERSON.id == _FACE.person_id)
    .where(_FACE.id.in_(bindparam("faces", expanding=True)))
)
"""Asked at every search: built once, of plain columns, which takes half a millisecond off each."""


class Owner(NamedTuple):
    """Whose a face is, with the public ids that an answer shows."""

    face_id: str
    photo_id: str
    person: int
    person_id: str
    name: str
    external_id: str | None


def owners(session: Session, face_ids: Some[int]) -> dict[int, Owner]:
    """Whose the faces of these numbers are now, by number; those that are gone or nobody's are left out.

    The last word on who, asked at every search: only the columns that the answer shows are read.
    """
    rows = session.connection().execute(_OWNERS, {"faces": list(face_ids)})
    return {row[0]: Owner(*row[1:]) for row in rows}


class Enrolled(NamedTuple):
    """A face that is somebody's, with what a model's crop is cut by."""

    face: int
    photo_id: str
    person: int
    name: str
    chip_key: str
    chip_map: list[list[float]]
    landmarks: list[list[float]]
    """In full-resolution pixels of the photo, as ``chip_map`` takes them."""


def enrolled(session: Session, collection_id: int, round_: int | None = None) -> list[Enrolled]:
    """Every face of a collection, in a round (None: its own), that is somebody's and has a chip."""
    rows = session.execute(
        select(_FACE.id, _PHOTO.public_id, _PERSON.id, _PERSON.name, _FACE.chip_key, _FACE.chip_map, _FACE.landmarks)
        .join(Photo.__table__, _PHOTO.id == _FACE.photo_id)
        .join(Person.__table__, _PERSON.id == _FACE.person_id)
        .where(
            _FACE.collection_id == collection_id,
            of_round(collection_id, round_),
            _FACE.chip_key.is_not(None),
            _FACE.chip_map.is_not(None),
            _FACE.landmarks.is_not(None),
        )
    )
    return [Enrolled(*row) for row in rows]


class Faceless(NamedTuple):
    """A photo that was said to show somebody and in which no face was found."""

    photo_id: str
    person: int
    name: str


def faceless(session: Session, collection_id: int) -> list[Faceless]:
    """The photos of a collection that were imported for a person and refused as showing no face."""
    rows = session.execute(
        select(_PHOTO.public_id, _PERSON.id, _PERSON.name)
        .join(Item, Item.photo_id == _PHOTO.id)
        .join(Person.__table__, _PERSON.id == Item.person_id)
        .where(_PHOTO.collection_id == collection_id, _PHOTO.reason == Rejection.NO_FACE.value)
        .distinct()
    )
    return [Faceless(*row) for row in rows]


def count_unassigned(session: Session, collection_id: int, round_: int | None = None) -> int:
    """How many faces of nobody that have a chip there are in a round; None is the collection's."""
    wanted = (Face.collection_id == collection_id, Face.person_id.is_(None), Face.chip_key.is_not(None))
    counted = select(func.count()).select_from(Face).where(*wanted, of_round(collection_id, round_))
    return session.scalar(counted) or 0


_NOBODYS = (
    select(_FACE.id, _FACE.public_id, _PHOTO.public_id, _FACE.quality)
    .join(Photo.__table__, _PHOTO.id == _FACE.photo_id)
    .where(_FACE.id.in_(bindparam("faces", expanding=True)), _FACE.person_id.is_(None))
)
_AT_ONCE = 5000
"""SQLite takes some 30,000 values in a statement."""


class Nobodys(NamedTuple):
    """A face of nobody, as lists of many show it."""

    face_id: str
    photo_id: str
    quality: dict[str, float] | None


def nobodys(session: Session, face_ids: Sequence[int]) -> dict[int, Nobodys]:
    """Those of the faces of these numbers that are still there and still nobody's, by number: the last word on it."""
    rows: dict[int, Nobodys] = {}
    for start in range(0, len(face_ids), _AT_ONCE):
        found = session.connection().execute(_NOBODYS, {"faces": list(face_ids[start : start + _AT_ONCE])})
        rows |= {row[0]: Nobodys(*row[1:]) for row in found}
    return rows


def unassigned(session: Session, collection_id: int, *, limit: int, after: int = 0) -> Sequence[tuple[Face, Photo]]:
    """Faces of nobody that have a chip, in the collection's round, by number, after face number *after*."""
    rows = session.execute(
        select(Face, Photo)
        .join(Photo, Photo.id == Face.photo_id)
        .where(
            Face.collection_id == collection_id,
            of_round(collection_id),
            Face.person_id.is_(None),
            Face.chip_key.is_not(None),
            Face.id > after,
        )
        .order_by(Face.id)
        .limit(limit)
    )
    return list(rows)


def vectors(session: Session, face_ids: Some[int], model_id: int) -> dict[int, bytes]:
    """Float16 vectors of faces under one model; faces without one are left out."""
    rows = session.execute(
        select(Embedding.face_id, Embedding.vector).where(
            Embedding.face_id.in_(face_ids), Embedding.model_id == model_id
        )
    )
    return dict(rows.all())


def assign(session: Session, face: Face, person: Person | None, *, by: str = "hand") -> int:
    """Say whose a face is, or that it is nobody's, in every round. Returns the collection's new head.

    Raises:
        Conflict: The face was kept as box and score only, so it cannot be searched. Import the photo again with
            this person's name: chip and embedding are then made from the raw photo.
        NotFound: The person was erased, or the face deleted, a moment ago.
    """
    if face.chip_key is None:
        raise Conflict(
            "Only box and score were kept of this face. Import its photo again under the person's name to enrol it."
        )
    if person is not None and not still_there(session, person):
        raise NotFound("person", person.public_id)
    whole = [row for row in rows_of(session, face) if row.chip_key is not None]
    if not whole:
        raise NotFound("face", face.public_id)
    return log.append(session, face.collection_id, give(session, whole, person, by=by)).head


def give(session: Session, rows: Sequence[Face], person: Person | None, *, by: str) -> list[log.Change]:
    """Write whose faces are to their *rows*, which are locked; the caller logs what is returned.

    What was said against it is forgotten: what is said last counts.
    """
    for row in rows:
        row.person_id = None if person is None else person.id
        row.assigned_by = None if person is None else by
    session.flush()
    if person is not None:
        not_same.belong(session, list({row.public_id for row in rows}), person.id)
    return [log.Change("assign", row.id, row.person_id) for row in rows]


def delete(session: Session, face: Face) -> int:
    """Delete a face in every round, its chips and its embeddings; its photo stays. Returns the collection's new head."""
    return erase(session, face).sequence


def erase(session: Session, face: Face, asking: Asking = ASKED) -> Erasure:
    """:func:`delete`, and what the ledger has of it."""
    collection_id, public_id = face.collection_id, face.public_id
    changes = [change for row in rows_of(session, face) for change in remove_rows(session, row)]
    return ledger.enter(
        session, collection_id, log.append(session, collection_id, changes).head, asking, faces=[public_id]
    )


def remove_rows(session: Session, face: Face, *, for_good: bool = True) -> list[log.Change]:
    """Delete one row of a face and its embeddings; the caller logs what is returned.

    Its chip is noted for removal unless the face has a row in another round that uses it. With its last row goes what was said
    of it, unless another row is about to take its place, so that it is not gone *for_good*.
    """
    drop_chip(session, face)
    session.execute(sql_delete(Embedding).where(Embedding.face_id == face.id))
    session.execute(sql_delete(Face).where(Face.id == face.id))
    session.expunge(face)
    if for_good:
        not_same.forget(session, [face.public_id])
    return [] if face.chip_key is None else [log.Change("remove", face.id)]


def drop_chip(session: Session, face: Face) -> None:
    """Note the chip of one row for removal, unless the face has a row in another round that uses it."""
    others = (Face.public_id == face.public_id, Face.chip_key == face.chip_key, Face.id != face.id)
    if face.chip_key is not None and session.scalar(select(Face.id).where(*others).limit(1)) is None:
        removals.note(session, face.chip_key)


def still_there(session: Session, person: Person) -> bool:
    """Whether a person was not erased; if not, they stay until the transaction ends."""
    locked = select(Person.id).where(Person.id == person.id).with_for_update(read=True)
    return session.scalar(locked) is not None
