"""What is said not to be the same, where two people become one and where they become two again.

What is not the one who goes is not the one who remains either. A face of theirs that was said not to show the other, and that the
two are two, is forgotten: a merge says that they are one. All of it is kept with the merge, so that undoing it brings it back.
"""

from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from services.catalog.engine import upsert
from services.catalog.schema import Face, Person
from services.catalog.tables.console import NotSame

Said = dict[str, list[list[Any]]]
"""``faces`` that are not who goes, with who said it; ``people`` who are not; of these what the other has ``gained`` by the merge,
``people_gained``; and faces of who goes that were said not to show the other: ``lost``."""


def merged(session: Session, source: Person, into: Person) -> Said:
    """Have *into* take over what was said of *source*, who is about to be deleted and still has their faces.

    Returns:
        What :func:`unmerged` needs.
    """
    faces = _of_faces(session, source.id)
    people = _of_people(session, source.id)
    theirs = select(Face.public_id).where(Face.person_id == source.id)
    contradicting = (NotSame.person_id == into.id, NotSame.face.in_(theirs))
    lost = session.execute(select(NotSame.face, NotSame.said_by).where(*contradicting)).all()
    session.execute(delete(NotSame).where(*contradicting))
    already = set(session.scalars(select(Face.public_id).where(Face.person_id == into.id)))
    before = {face for face, _ in _of_faces(session, into.id)} | already
    gained = [[face, by] for face, by in faces if face not in before]
    known = {other for other, _ in _of_people(session, into.id)} | {into.id}
    people_gained = [[other, by] for other, by in people if other not in known]
    _say(session, into, gained, people_gained)
    return {
        "faces": faces,
        "people": people,
        "gained": gained,
        "people_gained": people_gained,
        "lost": [[row.face, row.said_by] for row in lost],
    }


def unmerged(session: Session, into: Person, person: Person, said: Said) -> None:
    """Give *person*, who is back, what was said of them, and *into* what was, but for what was said since."""
    gained = [face for face, _ in said.get("gained", [])]
    if gained:
        session.execute(delete(NotSame).where(NotSame.person_id == into.id, NotSame.face.in_(gained)))
    for other, _ in said.get("people_gained", []):
        low, high = sorted((into.id, other))
        session.execute(delete(NotSame).where(NotSame.person_id == low, NotSame.other_id == high))
    _say(session, person, said.get("faces", []), said.get("people", []))
    _say(session, into, said.get("lost", []), [])


def _of_faces(session: Session, person_id: int) -> list[list[Any]]:
    mine = (NotSame.person_id == person_id, NotSame.face.is_not(None))
    rows = session.execute(select(NotSame.face, NotSame.said_by).where(*mine).order_by(NotSame.id))
    return [[row.face, row.said_by] for row in rows]


def _of_people(session: Session, person_id: int) -> list[list[Any]]:
    mine = or_(NotSame.person_id == person_id, NotSame.other_id == person_id)
    rows = session.scalars(select(NotSame).where(NotSame.other_id.is_not(None), mine).order_by(NotSame.id))
    return [[row.other_id if row.person_id == person_id else row.person_id, row.said_by] for row in rows]


def _say(session: Session, person: Person, faces: list[list[Any]], people: list[list[Any]]) -> None:
    """Write it for faces and people that are still there."""
    rows: list[dict[str, Any]] = []
    there = set(session.scalars(select(Face.public_id).where(Face.public_id.in_([face for face, _ in faces]))))
    known = set(session.scalars(select(Person.id).where(Person.id.in_([other for other, _ in people]))))
    rows += [{"face": face, "person_id": person.id, "said_by": by} for face, by in faces if face in there]
    for other, by in people:
        if other in known and other != person.id:
            low, high = sorted((person.id, other))
            rows.append({"person_id": low, "other_id": high, "said_by": by})
    columns = {"face": None, "other_face": None, "other_id": None, "collection_id": person.collection_id}
    if rows:
        session.execute(upsert(session, NotSame).on_conflict_do_nothing(), [columns | row for row in rows])
