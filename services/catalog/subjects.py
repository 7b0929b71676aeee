"""Subjects: people as CompreFace's clients know them, by name alone, and their faces as numbered pages."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from services.catalog import faces as face_rows
from services.catalog import people, photos
from services.catalog.schema import Face, Item, Person, Photo


def names(session: Session, collection_id: int) -> Sequence[str]:
    """The names of a collection's people, each once, in the order that lists have."""
    wanted = select(Person.name).where(Person.collection_id == collection_id)
    named = wanted.group_by(Person.search_name, Person.name).order_by(Person.search_name, Person.name)
    return session.scalars(named).all()


def named(session: Session, collection_id: int, name: str) -> list[Person]:
    """Everyone of that name, oldest first; where there is nobody, everyone whose name differs in upper and lower case only.

    Raises:
        InvalidRequest: It cannot be a name.
    """
    name = people.normalise(name)
    wanted = select(Person).where(Person.collection_id == collection_id, Person.search_name == people.searchable(name))
    alike = session.scalars(wanted.order_by(Person.id)).all()
    exact = [person for person in alike if person.name == name]
    return exact or [person for person in alike if person.name.casefold() == name.casefold()]


def count_examples(session: Session, collection_id: int, of: Sequence[Person] | None = None) -> int:
    """How many faces these people have, or all people of a collection."""
    return session.scalar(select(func.count()).select_from(Face).where(*_examples(collection_id, of))) or 0


def examples(
    session: Session, collection_id: int, of: Sequence[Person] | None = None, *, limit: int, skipped: int = 0
) -> list[tuple[str, str]]:
    """Public id and name of the faces of these people, or of all people of a collection; oldest first."""
    wanted = select(Face.public_id, Person.name).join(Person, Person.id == Face.person_id)
    page = wanted.where(*_examples(collection_id, of)).order_by(Face.id).offset(skipped).limit(limit)
    return [(face, name) for face, name in session.execute(page)]


def some(session: Session, collection_id: int, *, limit: int = 100) -> Sequence[Person]:
    """Some people of a collection, for who erases them all."""
    wanted = select(Person).where(Person.collection_id == collection_id)
    return session.scalars(wanted.order_by(Person.id).limit(limit)).all()


def take_back(session: Session, item: Item, *, made_for_it: bool) -> None:
    """Leave nothing of a photo that was refused: neither its bytes, nor a person without faces who was made for it alone.

    Args:
        session: A transaction.
        item: The photo's, at its end.
        made_for_it: Whether the person that it names was not there before.
    """
    photo = None if item.photo_id is None else session.get(Photo, item.photo_id)
    if photo is not None and photo.state == "rejected" and not _asked_for(session, Item.photo_id == photo.id, item):
        photos.delete(session, photo)
    person = None if item.person_id is None else session.get(Person, item.person_id)
    if person is None or not made_for_it or _asked_for(session, Item.person_id == person.id, item):
        return
    if not people.faces_of(session, person):
        people.delete(session, person)


def _asked_for(session: Session, whose: ColumnElement[bool], item: Item) -> bool:
    """Whether any other item is about it, too."""
    return session.scalar(select(Item.id).where(whose, Item.id != item.id).limit(1)) is not None


def _examples(collection_id: int, of: Sequence[Person] | None) -> tuple[ColumnElement[bool], ...]:
    whose = Face.person_id.is_not(None) if of is None else Face.person_id.in_([person.id for person in of])
    return Face.collection_id == collection_id, face_rows.of_round(collection_id), Face.chip_key.is_not(None), whose
