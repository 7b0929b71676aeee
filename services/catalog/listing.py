"""People as lists show them: searched, in an order, a page at a time."""

from typing import Literal

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session

from services.catalog import faces as face_rows
from services.catalog.people import PersonRow, searchable
from services.catalog.schema import Face, Person

Sort = Literal["name", "newest", "most_faces", "fewest_faces"]
"""How people are listed; those with as many faces by name."""

Place = tuple[str, int] | tuple[float, int] | tuple[int, str, int]
"""Where a list stands: (search_name, id) by name, (created_at, id) by age, (faces, search_name, id) by faces."""


def place_of(row: PersonRow, sort: Sort) -> Place:
    """The place of *row* in a list of people."""
    person = row.person
    if sort == "newest":
        return person.created_at, person.id
    by_name = (person.search_name, person.id)
    return by_name if sort == "name" else (row.faces, *by_name)


def count(session: Session, collection_id: int, query: str = "") -> int:
    """How many people there are, or are found by *query*."""
    return session.scalar(select(func.count()).select_from(Person).where(*_found(collection_id, query))) or 0


def page(
    session: Session,
    collection_id: int,
    *,
    query: str = "",
    sort: Sort = "name",
    limit: int = 50,
    after: Place | None = None,
) -> list[PersonRow]:
    """People, at most *limit*, after a place in the list.

    Every word of *query* is searched for anywhere in the name and the external id. By faces, those of all people are counted.
    """
    wanted = select(Person).where(*_found(collection_id, query))
    by_name = (Person.search_name, Person.id)
    if sort == "newest":
        wanted = wanted.where(tuple_(Person.created_at, Person.id) < after) if after else wanted
        wanted = wanted.order_by(Person.created_at.desc(), Person.id.desc())
    elif sort == "name":
        wanted = (wanted.where(tuple_(*by_name) > after) if after else wanted).order_by(*by_name)
    else:
        mine = (Face.collection_id == collection_id, Face.person_id.is_not(None), face_rows.of_round(collection_id))
        counts = select(Face.person_id, func.count().label("faces")).where(*mine).group_by(Face.person_id).subquery()
        faces = func.coalesce(counts.c.faces, 0)
        wanted = wanted.outerjoin(counts, counts.c.person_id == Person.id)
        if after:
            further = faces < after[0] if sort == "most_faces" else faces > after[0]
            wanted = wanted.where(or_(further, and_(faces == after[0], tuple_(*by_name) > after[1:])))
        wanted = wanted.order_by(faces.desc() if sort == "most_faces" else faces, *by_name)
    found = session.scalars(wanted.limit(limit)).all()
    counted = session.execute(
        select(Face.person_id, func.count(), func.min(Face.id))
        .where(Face.person_id.in_([p.id for p in found]), face_rows.of_round(collection_id))
        .group_by(Face.person_id)
    ).all()
    first = {row[0]: (row[1], row[2]) for row in counted}
    ids = dict(session.execute(select(Face.id, Face.public_id).where(Face.id.in_([r[2] for r in counted]))).all())
    rows = []
    for person in found:
        count, face = first.get(person.id, (0, 0))
        rows.append(PersonRow(person, count, ids.get(face)))
    return rows


def _found(collection_id: int, query: str) -> list[ColumnElement[bool]]:
    """What holds of the people whom *query* finds in a collection."""
    conditions = [Person.collection_id == collection_id]
    for word in query.split():
        in_id = Person.external_id.icontains(word, autoescape=True)
        conditions.append(or_(Person.search_name.contains(searchable(word), autoescape=True), in_id))
    return conditions
