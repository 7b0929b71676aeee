"""Collections: galleries, and which model and detector they use."""

import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from services.catalog import faces, generations
from services.catalog.engine import upsert
from services.catalog.schema import Collection, Face, Item, Job, LogEntry, Model, Person, Photo
from services.errors import Conflict, NotFound

DEFAULT = "default"

_BY_NAME = select(Collection).where(Collection.name == bindparam("called"))
"""Asked at every request, and so built once."""


def by_name(session: Session, name: str) -> Collection:
    """The collection called *name*.

    Raises:
        NotFound: There is none.
    """
    found = session.scalar(_BY_NAME, {"called": name})
    if found is None:
        raise NotFound("collection", name)
    return found


def all_of(session: Session) -> Sequence[Collection]:
    """Every collection, by name."""
    return session.scalars(select(Collection).order_by(Collection.name)).all()


def named(session: Session, names: AbstractSet[str]) -> Sequence[Collection]:
    """Those of the collections called *names* that there are."""
    return session.scalars(select(Collection).where(Collection.name.in_(names))).all()


def ensure(session: Session, name: str) -> Collection:
    """The collection called *name*, created with the active embedder and detector where there is none."""
    new = upsert(session, Collection).values(name=name, epoch=secrets.token_hex(8), head=0, round=0, live=[])
    made = new.on_conflict_do_nothing(index_elements=[Collection.name]).returning(Collection.id)
    number, model = session.scalar(made), session.scalar(_active("embedder"))
    if number is not None and model is not None:
        generations.first(session, session.get_one(Collection, number), model, session.scalar(_active("detector")))
    return by_name(session, name)


def create(session: Session, name: str) -> Collection:
    """A new collection.

    Raises:
        Conflict: There is one of that name.
    """
    if session.scalar(select(Collection.id).where(Collection.name == name)) is not None:
        raise Conflict(f"There is a collection {name} already.")
    return ensure(session, name)


def delete(session: Session, collection: Collection) -> None:
    """Delete an empty collection with its log and its jobs."""
    of_it = select(Job.id).where(Job.collection_id == collection.id)
    session.execute(sql_delete(Item).where(Item.job_id.in_(of_it)))
    session.execute(sql_delete(Job).where(Job.collection_id == collection.id))
    session.execute(sql_delete(LogEntry).where(LogEntry.collection_id == collection.id))
    session.execute(sql_delete(Collection).where(Collection.id == collection.id))


def counts(session: Session, collection_id: int) -> dict[str, int]:
    """People, photos, and faces that can be searched, of one collection."""
    wanted = {
        "people": select(func.count()).select_from(Person).where(Person.collection_id == collection_id),
        "photos": select(func.count()).select_from(Photo).where(Photo.collection_id == collection_id),
        "faces": select(func.count())
        .select_from(Face)
        .where(Face.collection_id == collection_id, Face.chip_key.is_not(None), faces.of_round(collection_id)),
    }
    return {what: session.scalar(query) or 0 for what, query in wanted.items()}


def enrolled(session: Session, collection_id: int, round_: int | None = None) -> int:
    """How many people of a collection have at least one face in a round (None: its own): the gallery that a search looks among."""
    people = select(func.count(func.distinct(Face.person_id))).where(
        Face.collection_id == collection_id, Face.person_id.is_not(None), faces.of_round(collection_id, round_)
    )
    return session.scalar(people) or 0


def _active(kind: str) -> Select[int]:
    return select(Model.id).where(Model.kind == kind, Model.state == "active").order_by(Model.id.desc()).limit(1)
