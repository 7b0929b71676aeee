"""Doubtful faces: what is read of those that are perhaps not of whom they are, and of pictures that are hardly any good."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from services.catalog import faces, people
from services.catalog.reviewing import not_same
from services.catalog.reviewing.naming import CONFIRMED
from services.catalog.schema import Face, Person, Photo


class Doubt(NamedTuple):
    """A face that is perhaps not of whom it is."""

    face: Face
    photo: Photo
    person: Person
    own: float
    """Similarity to the person's other faces."""
    other: Person | None
    """Whom it is like."""
    similarity: float
    """To them."""


Told = tuple[int, int, float, int | None, float]
"""Face, person, similarity to their other faces, other person, similarity to them: by number."""


def still_doubtful(session: Session, told: Sequence[Told], *, threshold: float) -> list[Doubt]:
    """Those that are still there, still that person's, and that nobody has confirmed.

    Args:
        session: A reading transaction.
        told: As they were when they were compared.
        threshold: A face that is as like as this to its person's others was doubted for whom else it is like: where that one is
            gone, or was said not to be it, it is doubted no more.
    """
    rows = faces.by_ids(session, [face for face, *_ in told])
    known = people.named(session, {other for *_, other, _ in told if other is not None})
    said = not_same.people_not(session, [face.public_id for face, _, _ in rows.values()])
    found = []
    for number, person_id, own, other_id, similarity in told:
        face, photo, person = rows.get(number, (None, None, None))
        if face is None or photo is None or person is None or person.id != person_id or face.assigned_by == CONFIRMED:
            continue
        is_not = other_id in said.get(face.public_id, ())
        other = None if other_id is None or is_not else known.get(other_id)
        if other is not None or own < threshold:
            found.append(Doubt(face, photo, person, own, other, similarity))
    return found


def poor(
    session: Session, collection_id: int, *, below: float, person: Person | None = None, limit: int, after: int = 0
) -> list[tuple[Face, Photo, Person]]:
    """Faces of people with a quality below that, that nobody has confirmed, in the collection's round by number, after *after*."""
    wanted = (
        select(Face, Photo, Person)
        .join(Photo, Photo.id == Face.photo_id)
        .join(Person, Person.id == Face.person_id)
        .where(_is_poor(collection_id, below, person), Face.id > after)
    )
    return [(face, photo, owner) for face, photo, owner in session.execute(wanted.order_by(Face.id).limit(limit))]


def count_poor(session: Session, collection_id: int, *, below: float, person: Person | None = None) -> int:
    """How many :func:`poor` ones there are."""
    counted = select(func.count()).select_from(Face).where(_is_poor(collection_id, below, person))
    return session.scalar(counted) or 0


def _is_poor(collection_id: int, below: float, person: Person | None) -> ColumnElement[bool]:
    return and_(
        Face.collection_id == collection_id,
        faces.of_round(collection_id),
        Face.person_id.is_not(None) if person is None else Face.person_id == person.id,
        Face.quality["value"].as_float() < below,
        or_(Face.assigned_by.is_(None), Face.assigned_by != CONFIRMED),
    )
