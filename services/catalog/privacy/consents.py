"""Consents: who agreed to be in a collection, when, and to which text. Withdrawn, they go with the person."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.catalog.privacy import bases
from services.catalog.schema import Collection, Person, now
from services.catalog.tables.privacy import Consent
from services.errors import ConsentMissing, InvalidRequest

_CLOCKS_DIFFER_S = 86_400.0
LONGEST_NOTICE = 16_384


@dataclass(frozen=True, slots=True)
class Given:
    """A consent as somebody tells of it."""

    at: float | None = None
    """Seconds since 1970 UTC; None: now."""
    notice: str | None = None
    """Version of the text; None: of the one that is in force."""
    text: str | None = None
    """The text itself, where the collection does not have it: what was signed on paper, say."""


def record(session: Session, person: Person, given: Given, *, by: str) -> Consent:
    """Write down that *person* has agreed; the same consent twice is one.

    Args:
        session: A writing transaction.
        person: Who has agreed.
        given: When, and to what.
        by: Public id of the key that says so.

    Raises:
        InvalidRequest: It lies in the future, or there is no such notice.
    """
    moment, version, text = check(session, session.get_one(Collection, person.collection_id), given)
    same = (Consent.person_id == person.id, Consent.notice_version == version, Consent.notice == text)
    there = select(Consent).where(*same).order_by(Consent.id.desc()).limit(1)
    if given.at is not None:
        there = there.where(Consent.given_at == given.at)
    found = session.scalar(there)
    if found is not None:
        return found
    row = Consent(
        person_id=person.id,
        given_at=moment if given.at is None else given.at,
        notice_version=version,
        notice=text,
        recorded_by=by,
    )
    session.add(row)
    session.flush()
    return row


def check(session: Session, collection: Collection, given: Given) -> tuple[float, str, str]:
    """The moment, and version and text of the notice, that a consent is recorded with.

    Raises:
        InvalidRequest: It lies in the future, or there is no such notice.
    """
    moment = float(session.scalar(select(now())) or 0.0)
    if given.at is not None and given.at > moment + _CLOCKS_DIFFER_S:
        raise InvalidRequest("Consent cannot have been given in the future.")
    if given.text is not None:
        return moment, given.notice or "unnumbered", given.text
    return moment, *bases.notice_of(collection, given.notice)


def of(session: Session, person: Person) -> Sequence[Consent]:
    """The consents of a person, the latest last."""
    return session.scalars(
        select(Consent).where(Consent.person_id == person.id).order_by(Consent.given_at, Consent.id)
    ).all()


def latest(session: Session, person: Person) -> Consent | None:
    """The consent that a person gave last."""
    wanted = select(Consent).where(Consent.person_id == person.id)
    return session.scalar(wanted.order_by(Consent.given_at.desc(), Consent.id.desc()).limit(1))


def has(session: Session, person_id: int) -> bool:
    """Whether a person's consent is recorded."""
    return session.scalar(select(Consent.id).where(Consent.person_id == person_id).limit(1)) is not None


def require(session: Session, collection: Collection, person: Person | None) -> None:
    """See that *person* may be enrolled in *collection*; None is somebody without any consent yet.

    Raises:
        BasisMissing: The collection says no basis.
        ConsentMissing: It is consent, and theirs is not recorded.
    """
    bases.require(collection)
    if not bases.is_consent(collection) or (person is not None and has(session, person.id)):
        return
    who = "A newcomer's" if person is None else f"The consent of {person.public_id}"
    said = f"{who} consent is not given" if person is None else f"{who} is not recorded"
    raise ConsentMissing(
        f"{said}, and it is the basis of collection {collection.name}. Give consent_given_at, or record it first: colega people "
        "consent NAME."
    )


def lacking(session: Session, collection: Collection) -> int:
    """How many people of a collection have no consent on record."""
    there = select(Consent.id).where(Consent.person_id == Person.id)
    wanted = select(func.count()).select_from(Person).where(Person.collection_id == collection.id, ~there.exists())
    return session.scalar(wanted) or 0


def move(session: Session, source: Person, into: Person) -> list[int]:
    """Give the consents of *source* to *into*, who is the same person. Returns their numbers."""
    moved = update(Consent).where(Consent.person_id == source.id).values(person_id=into.id)
    return list(session.scalars(moved.returning(Consent.id)))


def move_back(session: Session, numbers: Sequence[int], into: Person, person: Person) -> None:
    """Give consents that were moved to *into* back to *person*."""
    if numbers:
        mine = (Consent.id.in_(numbers), Consent.person_id == into.id)
        session.execute(update(Consent).where(*mine).values(person_id=person.id))
