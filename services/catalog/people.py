"""People: the identities of a collection."""

import unicodedata
from collections.abc import Collection as Some
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from services.catalog import faces as face_rows
from services.catalog import log, photos
from services.catalog.engine import upsert
from services.catalog.erasing import ledger, traces
from services.catalog.erasing.ledger import ASKED, Asking
from services.catalog.importing import source_files
from services.catalog.schema import NO_EXTERNAL_ID, Face, Item, Person, Photo, new_id
from services.catalog.tables.console import Merge
from services.catalog.tables.privacy import Erasure as Erased
from services.catalog.tables.source import SourceFile
from services.errors import Conflict, InvalidRequest, NotFound

LONGEST_NAME = 200


class PersonRow(NamedTuple):
    """A person as lists show them."""

    person: Person
    faces: int
    face_id: str | None
    """Public id of one of their faces, for a picture."""


def normalise(name: str) -> str:
    """A name as it is stored: NFC, without blanks at the ends, any script.

    Raises:
        InvalidRequest: It is empty, longer than 200 characters, or has control characters.
    """
    cleaned = " ".join(unicodedata.normalize("NFC", name).split(" ")).strip()
    if not cleaned:
        raise InvalidRequest("A person needs a name; this one is empty.")
    if len(cleaned) > LONGEST_NAME:
        raise InvalidRequest(f"A name may have {LONGEST_NAME} characters; this one has {len(cleaned)}.")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in cleaned):
        raise InvalidRequest("A name may not have control characters or line breaks.")
    return cleaned


_PLAIN = str.maketrans(
    {"ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th", "\u2019": "'"}
)
"""Letters that Unicode does not take apart, and the apostrophe that keyboards do not have."""


def searchable(name: str) -> str:
    """*name* case folded and without accents: what search as one types compares."""
    split = unicodedata.normalize("NFKD", name.casefold()).translate(_PLAIN)
    return "".join(c for c in split if not unicodedata.combining(c))[:512]


def ensure(
    session: Session,
    collection_id: int,
    name: str,
    external_id: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Person:
    """The person of that external id, or without one of that name; created where there is none.

    An upsert, never read-then-insert: eight clients at once make one person. With an external id the name given last
    holds, and so do attributes given.
    """
    name = normalise(name)
    row = upsert(session, Person).values(
        public_id=new_id("per"),
        collection_id=collection_id,
        name=name,
        search_name=searchable(name),
        external_id=external_id,
        attributes=dict(attributes or {}),
    )
    if external_id is None:
        # DO UPDATE rather than DO NOTHING: only then does RETURNING give the row that was there.
        row = row.on_conflict_do_update(
            index_elements=["collection_id", "name"], index_where=NO_EXTERNAL_ID, set_={"name": name}
        )
    else:
        changed = {"name": name, "search_name": searchable(name)} | (
            {"attributes": dict(attributes)} if attributes else {}
        )
        row = row.on_conflict_do_update(index_elements=["collection_id", "external_id"], set_=changed)
    person: Person = session.scalars(row.returning(Person), execution_options={"populate_existing": True}).one()
    return person


def find(session: Session, collection_id: int, name: str, external_id: str | None = None) -> Person | None:
    """The person of that external id, or without one of that name: whom :func:`ensure` would not have to make.

    Raises:
        InvalidRequest: It cannot be a name.
    """
    same = (
        (Person.external_id == external_id)
        if external_id
        else (Person.name == normalise(name)) & Person.external_id.is_(None)
    )
    return session.scalar(select(Person).where(Person.collection_id == collection_id, same))


def create(
    session: Session, collection_id: int, name: str, external_id: str | None, attributes: Mapping[str, str] | None
) -> Person:
    """A new person.

    Raises:
        Conflict: There is one of that external id, or without one of that name.
    """
    name = normalise(name)
    same = (
        (Person.external_id == external_id)
        if external_id is not None
        else ((Person.name == name) & Person.external_id.is_(None))
    )
    if session.scalar(select(Person.id).where(Person.collection_id == collection_id, same)) is not None:
        what = f"with external id {external_id}" if external_id is not None else f"called {name}"
        raise Conflict(f"There is a person {what} already. Add photos to them, or give another external_id.")
    return ensure(session, collection_id, name, external_id, attributes)


def by_public_id(session: Session, collection_id: int, public_id: str, *, locked: bool = False) -> Person:
    """The person of that id; *locked*, nobody else changes them until the transaction ends.

    Raises:
        NotFound: There is none in this collection.
    """
    wanted = select(Person).where(Person.collection_id == collection_id, Person.public_id == public_id)
    found = session.scalar(wanted.with_for_update(key_share=True) if locked else wanted)
    if found is None:
        raise NotFound("person", public_id)
    return found


def by_name(session: Session, collection_id: int, name: str) -> Sequence[Person]:
    """Everyone of exactly that name, oldest first."""
    wanted = select(Person).where(Person.collection_id == collection_id, Person.name == normalise(name))
    return session.scalars(wanted.order_by(Person.id)).all()


def named(session: Session, person_ids: Some[int]) -> dict[int, Person]:
    """The people of these numbers that still exist."""
    rows = session.scalars(select(Person).where(Person.id.in_(person_ids)))
    return {person.id: person for person in rows}


def row_of(session: Session, person: Person) -> PersonRow:
    """One person as lists show them."""
    mine = (Face.person_id == person.id, face_rows.of_round(person.collection_id))
    count, first = session.execute(select(func.count(), func.min(Face.id)).where(*mine)).one()
    return PersonRow(person, count, session.scalar(select(Face.public_id).where(Face.id == first)))


def change(
    session: Session,
    person: Person,
    *,
    name: str | None = None,
    external_id: str | None = None,
    attributes: Mapping[str, str] | None = None,
) -> int | None:
    """Change what is given of a person. Returns the collection's new head where that changes what can be searched.

    Raises:
        Conflict: Another person has that external id, or that name without one.
    """
    normal = None if name is None else normalise(name)
    try:
        with session.begin_nested():
            if normal is not None:
                person.name, person.search_name = normal, searchable(normal)
            if external_id is not None:
                person.external_id = external_id
            if attributes is not None:
                person.attributes = dict(attributes)
    except IntegrityError as error:
        raise Conflict("Another person has that name or external id. Merge the two, or choose another.") from error
    if attributes is None:
        return None
    return log.append(session, person.collection_id, [log.Change("attributes", person_id=person.id)]).head


def attributes_of(session: Session, collection_id: int, external_ids: Some[str]) -> dict[int, dict[str, str]]:
    """The attributes of those people of these external ids who are there, by number."""
    wanted = Person.external_id.in_(external_ids)
    rows = session.execute(select(Person.id, Person.attributes).where(Person.collection_id == collection_id, wanted))
    return {row.id: row.attributes for row in rows}


def delete(session: Session, person: Person) -> int:
    """:func:`erase`, as somebody asked for it. Returns the collection's new head."""
    return erase(session, person).sequence


def erase(session: Session, person: Person, asking: Asking = ASKED) -> Erased:
    """Erase a person: their faces, chips and embeddings, and the photos that show nobody else who is known.

    In every round, with who was merged into them. Rows go now, objects by ``removals``; what files were called is forgotten.

    Returns:
        What the ledger has of it.

    Raises:
        NotFound: They were erased or merged a moment ago.
    """
    collection_id, public_id = person.collection_id, person.public_id
    lock(session, person)
    alone = _showing(session, person).alone
    merged = session.scalars(select(Merge.gone).where(Merge.into_id == person.id, Merge.undone_at.is_(None))).all()
    theirs = or_(Face.person_id == person.id, Face.photo_id.in_(alone))  # With nobody's in the photos that go.
    faces = session.scalars(select(Face.public_id).where(theirs).order_by(Face.id)).all()
    shown = session.scalars(select(Photo).where(Photo.id.in_(alone)).order_by(Photo.id)).all()
    gone = [photo.public_id for photo in shown]
    changes = [change for photo in shown for change in photos.remove_rows(session, photo)]
    for face in session.scalars(select(Face).where(Face.person_id == person.id).order_by(Face.id)).all():
        changes += face_rows.remove_rows(session, face)
    traces.forget_names(session, Item.person_id == person.id)
    source_files.forget(session, SourceFile.person_id == person.id)
    session.execute(sql_delete(Person).where(Person.id == person.id))
    head = log.append(session, collection_id, changes).head
    return ledger.enter(session, collection_id, head, asking, person=public_id, merged=merged, faces=faces, photos=gone)


class Erasure(NamedTuple):
    """What erasing a person erases, as of now."""

    faces: int
    photos: int
    """Photos that show nobody else who is known: they go."""
    shared: int
    """Photos that show somebody else, too: they stay, without the face."""


def erasure(session: Session, person: Person) -> Erasure:
    """What :func:`delete` would erase."""
    mine = (Face.person_id == person.id, face_rows.of_round(person.collection_id))
    faces = session.scalar(select(func.count()).select_from(Face).where(*mine)) or 0
    showing = _showing(session, person)
    return Erasure(faces, len(showing.alone), len(showing.shared))


class _Showing(NamedTuple):
    alone: set[int]
    shared: set[int]


def _showing(session: Session, person: Person) -> _Showing:
    """The photos that show a person in any round, or are said to: alone, and together with others who are known."""
    shown = session.scalars(select(Face.photo_id).where(Face.person_id == person.id).distinct()).all()
    others = (Face.person_id.is_not(None), Face.person_id != person.id)
    shared = set(session.scalars(select(Face.photo_id).where(Face.photo_id.in_(shown), *others).distinct()))
    # A photo that was said to show this person and is still under way shows nobody else either.
    unfinished = (Item.person_id == person.id, Item.state.in_(("queued", "waiting")))
    pending = session.scalars(select(Item.photo_id).where(*unfinished)).all()
    # Nor does one that was refused, or whose face was deleted: it was sent as theirs.
    other = aliased(Item)
    elses = select(other.id).where(other.photo_id == Item.photo_id, other.person_id != person.id)
    kept = select(Face.id).where(Face.photo_id == Item.photo_id, Face.chip_key.is_not(None))
    sent = (Item.person_id == person.id, Item.photo_id.is_not(None), ~elses.exists(), ~kept.exists())
    left = session.scalars(select(Item.photo_id).where(*sent)).all()
    return _Showing({p for p in (*shown, *pending, *left) if p is not None} - shared, shared)


def faces_of(session: Session, person: Person) -> list[tuple[Face, Photo]]:
    """A person's faces in the collection's round with the photos they are in, oldest first."""
    mine = (Face.person_id == person.id, face_rows.of_round(person.collection_id))
    rows = session.execute(select(Face, Photo).join(Photo, Photo.id == Face.photo_id).where(*mine).order_by(Face.id))
    return list(rows)


def lock(session: Session, *people: Person) -> None:
    """Have *people*, the photos that show them, and those that are said to and still under way, stay as they are.

    Until the transaction ends, whoever writes a face of theirs waits; who does so already and holds its photo goes on first.

    Raises:
        NotFound: One of them is gone.
    """
    ids = [person.id for person in people]
    wanted = select(Person.id).where(Person.id.in_(ids)).order_by(Person.id)
    there = set(session.scalars(wanted.with_for_update(key_share=True)))  # Not what a foreign key to them asks for.
    for person in people:
        if person.id not in there:
            raise NotFound("person", person.public_id)
    shown = select(Face.photo_id).where(Face.person_id.in_(ids))
    pending = select(Item.photo_id).where(Item.person_id.in_(ids), Item.state.in_(("queued", "waiting")))
    theirs = select(Photo.id).where(or_(Photo.id.in_(shown), Photo.id.in_(pending))).order_by(Photo.id)
    session.execute(theirs.with_for_update())
