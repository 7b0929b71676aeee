"""Faces: where they are, whose they are, and their embeddings."""

from collections.abc import Collection as Some
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from services.catalog import log, removals
from services.catalog.schema import Embedding, Face, Item, Person, Photo, new_id
from services.errors import Conflict, NotFound, Rejection


def new_public_id() -> str:
    """A public id for a face."""
    return new_id("fac")


def by_public_id(session: Session, collection_id: int, public_id: str) -> Face:
    """The face of that id.

    Raises:
        NotFound: There is none in this collection.
    """
    found = session.scalar(select(Face).where(Face.collection_id == collection_id, Face.public_id == public_id))
    if found is None:
        raise NotFound("face", public_id)
    return found


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


def enrolled(session: Session, collection_id: int) -> list[Enrolled]:
    """Every face of a collection that is somebody's and has a chip."""
    rows = session.execute(
        select(_FACE.id, _PHOTO.public_id, _PERSON.id, _PERSON.name, _FACE.chip_key, _FACE.chip_map, _FACE.landmarks)
        .join(Photo.__table__, _PHOTO.id == _FACE.photo_id)
        .join(Person.__table__, _PERSON.id == _FACE.person_id)
        .where(
            _FACE.collection_id == collection_id,
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


def count_unassigned(session: Session, collection_id: int) -> int:
    """How many faces :func:`unassigned` lists."""
    wanted = (Face.collection_id == collection_id, Face.person_id.is_(None), Face.chip_key.is_not(None))
    return session.scalar(select(func.count()).select_from(Face).where(*wanted)) or 0


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
    """Faces of nobody that have a chip, by number, after face number *after*."""
    rows = session.execute(
        select(Face, Photo)
        .join(Photo, Photo.id == Face.photo_id)
        .where(
            Face.collection_id == collection_id,
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


def of_person(session: Session, person_id: int, model_id: int) -> list[bytes]:
    """Float16 vectors of all of a person's faces under one model."""
    wanted = (
        select(Embedding.vector)
        .join(Face, Face.id == Embedding.face_id)
        .where(Face.person_id == person_id, Embedding.model_id == model_id)
    )
    return list(session.scalars(wanted.order_by(Face.id)))


def assign(session: Session, face: Face, person: Person | None, *, by: str = "hand") -> int:
    """Say whose a face is, or that it is nobody's. Returns the collection's new head.

    Raises:
        Conflict: The face was kept as box and score only, so it cannot be searched. Import the photo again with
            this person's name: chip and embedding are then made from the raw photo.
    """
    if face.chip_key is None:
        raise Conflict(
            "Only box and score were kept of this face. Import its photo again under the person's name to enrol it."
        )
    face.person_id = None if person is None else person.id
    face.assigned_by = None if person is None else by
    session.flush()
    return log.append(session, face.collection_id, [log.Change("assign", face.id, face.person_id)]).head


def delete(session: Session, face: Face) -> int:
    """Delete a face, its chip and its embeddings; its photo stays. Returns the collection's new head."""
    collection_id = face.collection_id
    return log.append(session, collection_id, remove_rows(session, face)).head


def remove_rows(session: Session, face: Face) -> list[log.Change]:
    """Delete the rows of a face and note its chip for removal; the caller logs what is returned."""
    removals.note(session, face.chip_key)
    session.execute(sql_delete(Embedding).where(Embedding.face_id == face.id))
    session.execute(sql_delete(Face).where(Face.id == face.id))
    session.expunge(face)
    return [] if face.chip_key is None else [log.Change("remove", face.id)]
