"""What two generations of a collection have in common: faces that both hold, by public id, and whose these are."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, func, select
from sqlalchemy.orm import Session, aliased, join

from services.catalog.schema import Embedding, Face, Generation, Person, Photo
from services.catalog.tables.rebuild import Finding, Rebuild

_BEFORE, _AFTER = aliased(Face), aliased(Face)
_OLD, _NEW = aliased(Embedding), aliased(Embedding)
_AT_ONCE = 400
"""People, or faces, named in one statement."""


class Enrolled(NamedTuple):
    """A person, and how many faces of theirs are in both generations."""

    person_id: int
    faces: int


class Held(NamedTuple):
    """What one generation holds of those who are somebody."""

    people: int
    faces: int


class PairRow(NamedTuple):
    """One face in both: its number in each, whose it is, and what each model says of it, float16 bytes."""

    before: int
    after: int
    person_id: int
    old: bytes
    new: bytes


class Look(NamedTuple):
    """What is needed to show a face."""

    face_id: str
    person_id: str
    person: str
    """What they are called."""
    photo_id: str
    chip_key: str | None
    chip_map: list[list[float]] | None
    landmarks: list[list[float]] | None
    """In full-resolution pixels of the photo, as ``chip_map`` takes them."""


def people(session: Session, before: Generation, after: Generation) -> list[Enrolled]:
    """Everybody with a face in both, by number. Whose a face is, is taken from *before*."""
    person = _BEFORE.person_id
    wanted = select(person, func.count()).select_from(_both(before, after)).where(_in(_BEFORE, before))
    rows = session.execute(wanted.where(person.is_not(None)).group_by(person).order_by(person))
    return [Enrolled(person_id, count) for person_id, count in rows if person_id is not None]


def pairs(session: Session, before: Generation, after: Generation, whose: Sequence[int]) -> Iterator[list[PairRow]]:
    """The faces of the people *whose* that are in both, some at a time."""
    columns = select(_BEFORE.id, _AFTER.id, _BEFORE.person_id, _OLD.vector, _NEW.vector)
    wanted = columns.select_from(_both(before, after)).where(_in(_BEFORE, before))
    for start in range(0, len(whose), _AT_ONCE):
        some = list(whose[start : start + _AT_ONCE])
        rows = session.execute(wanted.where(_BEFORE.person_id.in_(some)).order_by(_BEFORE.person_id, _BEFORE.id))
        yield [PairRow(one, other, owner, *said) for one, other, owner, *said in rows if owner is not None]


def held(session: Session, generation: Generation) -> Held:
    """How many people, with how many faces, a search in *generation* looks among."""
    row = session.execute(
        select(func.count(func.distinct(Face.person_id)), func.count())
        .select_from(Face)
        .join(Embedding, and_(Embedding.face_id == Face.id, Embedding.model_id == generation.model_id))
        .where(_in(Face, generation), Face.person_id.is_not(None))
    ).one()
    return Held(*row)


def looks(session: Session, face_ids: Sequence[int]) -> dict[int, Look]:
    """What is needed to show the faces of these numbers, by number; those that are gone, or nobody's by now, are left out."""
    found: dict[int, Look] = {}
    columns = (Face.public_id, Person.public_id, Person.name, Photo.public_id, Face.chip_key, Face.chip_map)
    for start in range(0, len(face_ids), _AT_ONCE):
        rows = session.execute(
            select(Face.id, *columns, Face.landmarks)
            .join(Person, Person.id == Face.person_id)
            .join(Photo, Photo.id == Face.photo_id)
            .where(Face.id.in_(list(face_ids[start : start + _AT_ONCE])))
        )
        found |= {row[0]: Look(*row[1:]) for row in rows}
    return found


def findings(session: Session, collection_id: int, rebuild: str | None) -> dict[str, int]:
    """How many findings of each kind the rebuild of that public id has; nothing where there is no such rebuild."""
    rows = session.execute(
        select(Finding.kind, func.count())
        .join(Rebuild, Rebuild.id == Finding.rebuild_id)
        .where(Rebuild.collection_id == collection_id, Rebuild.public_id == rebuild)
        .group_by(Finding.kind)
    )
    return dict(rows.all())


def parameters(session: Session, collection_id: int, rebuild: str | None) -> dict[str, Any]:
    """What was asked of the rebuild of that public id; nothing where there is no such rebuild."""
    wanted = select(Rebuild.parameters).where(Rebuild.collection_id == collection_id, Rebuild.public_id == rebuild)
    return session.scalar(wanted) or {}


def _both(before: Generation, after: Generation) -> FromClause:
    same = and_(_AFTER.public_id == _BEFORE.public_id, _in(_AFTER, after))
    old = and_(_OLD.face_id == _BEFORE.id, _OLD.model_id == before.model_id)
    new = and_(_NEW.face_id == _AFTER.id, _NEW.model_id == after.model_id)
    return join(join(join(_BEFORE, _AFTER, same), _OLD, old), _NEW, new)


def _in(face: type[Face], generation: Generation) -> ColumnElement[bool]:
    return and_(face.collection_id == generation.collection_id, face.round == generation.round)
