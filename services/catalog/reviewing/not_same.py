"""What somebody said is not so: this face is not that person, not who those faces show, or two people are two.

Faces are named by their public ids, which are the same in every round, so what was said holds under every model and detector.
What is said last counts: who gives a face to a person, by hand or by an import that names them, takes back what was said
against it. Where a person is merged into another, what is not them is not the other either.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.catalog.engine import upsert
from services.catalog.schema import Face, Person, Photo
from services.catalog.tables.console import NotSame
from services.errors import Conflict

MOST_OF_A_FACE = 100
"""People, and as many other faces, that a face is said not to be."""
MOST_OF_A_PERSON = 500
"""People that a person is said not to be."""
_AT_ONCE = 5000
"""SQLite takes some 30,000 values in a statement."""

_T = TypeVar("_T")


class Rejected(NamedTuple):
    """One thing that was said of a face."""

    person: Person | None
    other_face: str | None
    """Public id."""
    said_by: str
    created_at: float


class Kept(NamedTuple):
    """A face of a photo, and the numbers of the people whom it does not show."""

    box: Sequence[float]
    """x, y, w, h in full-resolution pixels."""
    people: set[int]


def reject(session: Session, collection_id: int, faces: Sequence[str], person: Person, *, by: str) -> None:
    """Remember that *faces*, by public id, do not show *person*.

    Raises:
        Conflict: Too much was said of one of them.
    """
    _see_that_there_is_room(session, faces, NotSame.person_id, 1)
    _insert(session, [_row(collection_id, by, face=face, person_id=person.id) for face in faces])


def take_apart(session: Session, collection_id: int, face: str, others: Sequence[str], *, by: str) -> None:
    """Remember that *face* does not show whom *others* show.

    Raises:
        Conflict: Too much was said of it.
    """
    _see_that_there_is_room(session, [face], NotSame.other_face, len(others))
    _insert(session, [_row(collection_id, by, face=face, other_face=other) for other in others if other != face])


def take_back(session: Session, face: str, *, person: Person | None = None, others: Sequence[str] = ()) -> None:
    """Forget what was said of *face*: of that person or those other faces; where neither is given, all of it."""
    mine = NotSame.face == face
    if person is not None:
        mine &= NotSame.person_id == person.id
    if others:
        mine &= NotSame.other_face.in_(others)
    session.execute(delete(NotSame).where(mine))


def of_face(session: Session, face: str) -> list[Rejected]:
    """What was said of a face, oldest first."""
    wanted = select(Person, NotSame).select_from(NotSame).outerjoin(Person, Person.id == NotSame.person_id)
    rows = session.execute(wanted.where(NotSame.face == face).order_by(NotSame.id))
    return [Rejected(person, said.other_face, said.said_by, said.created_at) for person, said in rows]


def people_not(session: Session, faces: Sequence[str]) -> dict[str, set[int]]:
    """The numbers of the people whom faces do not show, by public id; those of whom nothing was said are left out.

    Also those who have one of the faces that a face was taken apart from, either way.
    """
    found: dict[str, set[int]] = {}
    for some in _batches(faces):
        said = select(NotSame.face, NotSame.person_id).where(NotSame.face.in_(some), NotSame.person_id.is_not(None))
        out = _owners(NotSame.face, NotSame.other_face, some)
        back = _owners(NotSame.other_face, NotSame.face, some)
        for face, person in session.execute(said.union(out, back)):
            found.setdefault(str(face), set()).add(int(person or 0))
    return found


def in_photo(session: Session, collection_id: int, sha256: str, round_: int) -> list[Kept]:
    """The faces, in a round, of the photo with these bytes of which something was said; none where it is not kept."""
    mine = (Photo.collection_id == collection_id, Photo.sha256 == sha256, Face.round == round_)
    rows = session.execute(select(Face.public_id, Face.box).join(Photo, Photo.id == Face.photo_id).where(*mine)).all()
    said = people_not(session, [row.public_id for row in rows]) if rows else {}
    return [Kept(row.box, said[row.public_id]) for row in rows if row.public_id in said]


def apart(session: Session, faces: Sequence[str]) -> dict[str, set[str]]:
    """Which of *faces* were taken apart from which others, by public id."""
    found: dict[str, set[str]] = {}
    for some in _batches(faces):
        said = select(NotSame.face, NotSame.other_face).where(NotSame.face.in_(some), NotSame.other_face.is_not(None))
        for face, other in session.execute(said):
            found.setdefault(str(face), set()).add(str(other))
    return found


def distinguish(session: Session, person: Person, others: Sequence[Person], *, by: str) -> None:
    """Remember that *person* is none of *others*.

    Raises:
        Conflict: There are too many of them.
    """
    said = session.scalar(select(func.count()).select_from(NotSame).where(NotSame.face.is_(None), _has(person.id)))
    if (said or 0) + len(others) > MOST_OF_A_PERSON:
        raise Conflict(
            f"{person.name} may be told from {MOST_OF_A_PERSON} people by hand. Take something back, or raise the threshold."
        )
    numbers = {other.id for other in others} - {person.id}
    _insert(session, [_pair(person.collection_id, person.id, other, by) for other in sorted(numbers)])


def confound(session: Session, person: Person, others: Sequence[Person]) -> None:
    """Take back that *person* is none of *others*."""
    pairs = [_ordered(person.id, other.id) for other in others]
    for low, high in pairs:
        session.execute(delete(NotSame).where(NotSame.person_id == low, NotSame.other_id == high))


def distinct_from(session: Session, person: Person) -> Sequence[Person]:
    """Who was said not to be *person*, by name."""
    low = select(NotSame.person_id).where(NotSame.other_id == person.id)
    high = select(NotSame.other_id).where(NotSame.person_id == person.id, NotSame.other_id.is_not(None))
    wanted = select(Person).where(or_(Person.id.in_(low), Person.id.in_(high)))
    return session.scalars(wanted.order_by(Person.search_name, Person.id)).all()


def distinct(session: Session, people: Sequence[int]) -> set[tuple[int, int]]:
    """The pairs among *people* who were said to be two, by number, the smaller first."""
    found: set[tuple[int, int]] = set()
    for some in _batches(people):
        said = select(NotSame.person_id, NotSame.other_id).where(NotSame.person_id.in_(some))
        rows = session.execute(said.where(NotSame.other_id.is_not(None)))
        found |= {(row.person_id, row.other_id) for row in rows}
    return found


def belong(session: Session, faces: Sequence[str], person_id: int) -> None:
    """Forget what speaks against *faces* being that person's: somebody has just said that they are."""
    theirs = select(Face.public_id).where(Face.person_id == person_id)
    for some in _batches(faces):
        against = or_(
            and_(NotSame.face.in_(some), NotSame.person_id == person_id),
            and_(NotSame.face.in_(some), NotSame.other_face.in_(theirs)),
            and_(NotSame.other_face.in_(some), NotSame.face.in_(theirs)),
        )
        session.execute(delete(NotSame).where(against))


def forget(session: Session, faces: Sequence[str]) -> None:
    """Forget all that was said of faces, by public id, that have no row any more."""
    for some in _batches(faces):
        if session.scalar(select(NotSame.id).where(_names(some)).limit(1)) is not None:
            there = set(session.scalars(select(Face.public_id).where(Face.public_id.in_(some))))
            session.execute(delete(NotSame).where(_names([face for face in some if face not in there])))


def renamed(session: Session, face: str, now_called: str) -> None:
    """What was said of *face* is said of *now_called* from now on: it was found to be that one."""
    said = session.scalars(select(NotSame).where(_names([face]))).all()
    rows = [
        _row(
            row.collection_id,
            row.said_by,
            face=now_called if row.face == face else row.face,
            other_face=now_called if row.other_face == face else row.other_face,
            person_id=row.person_id,
        )
        for row in said
    ]
    session.execute(delete(NotSame).where(NotSame.id.in_([row.id for row in said])))
    _insert(session, [row for row in rows if row["face"] != row["other_face"]])


def _owners(
    face: InstrumentedAttribute[str | None], other: InstrumentedAttribute[str | None], some: Sequence[str]
) -> Select[str | None, int | None]:
    """The people who have a face that one of *some* was taken apart from."""
    owned = select(face, Face.person_id).join(Face, Face.public_id == other)
    return owned.where(face.in_(some), Face.person_id.is_not(None))


def _row(collection_id: int, by: str, **what: object) -> dict[str, object]:
    nothing = {"face": None, "other_face": None, "person_id": None, "other_id": None}
    return {"collection_id": collection_id, "said_by": by[:64], **nothing, **what}


def _pair(collection_id: int, one: int, other: int, by: str) -> dict[str, object]:
    low, high = _ordered(one, other)
    return _row(collection_id, by, person_id=low, other_id=high)


def _ordered(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def _names(faces: Sequence[str]) -> ColumnElement[bool]:
    return or_(NotSame.face.in_(faces), NotSame.other_face.in_(faces))


def _has(person_id: int) -> ColumnElement[bool]:
    return or_(NotSame.person_id == person_id, NotSame.other_id == person_id)


def _insert(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Write what is not there yet."""
    if rows:
        session.execute(upsert(session, NotSame).on_conflict_do_nothing(), list(rows))


def _see_that_there_is_room(
    session: Session,
    faces: Sequence[str],
    what: InstrumentedAttribute[int | None] | InstrumentedAttribute[str | None],
    more: int,
) -> None:
    counted = select(NotSame.face, func.count()).where(NotSame.face.in_(faces), what.is_not(None))
    for face, count in session.execute(counted.group_by(NotSame.face)):
        if count + more > MOST_OF_A_FACE:
            raise Conflict(
                f"{count} things were said of face {face}, and {MOST_OF_A_FACE} may be. Take some back, or delete it."
            )


def _batches(values: Iterable[_T]) -> Iterable[Sequence[_T]]:
    left = iter(values)
    while some := list(islice(left, _AT_ONCE)):
        yield some
