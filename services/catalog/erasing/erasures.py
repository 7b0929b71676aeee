"""Erasures: what was deleted for good and is not gone everywhere yet, and doing the same to a catalog out of a backup."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from services.catalog import faces, people, photos
from services.catalog.erasing.ledger import WITHIN_S, Asking, Cause
from services.catalog.schema import Collection, Face, Person, Photo, now
from services.catalog.tables.console import Merge
from services.catalog.tables.privacy import Erasure
from services.errors import NotFound

WAITED_SHARE = 4
"""A quarter of the time is left to what happens anyway: segments are rewritten, snapshots replaced. Then it is hastened."""
_AT_ONCE = 500

_R = TypeVar("_R", Face, Photo)


class Pressing(NamedTuple):
    """Up to where searchers are to see now that nothing removed is left in their files."""

    epoch: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it is written down outside the catalog: ids and times only."""

    id: str
    person: str | None
    merged: Sequence[str]
    faces: Sequence[str]
    photos: Sequence[str]
    cause: Cause
    asked_at: float

    @classmethod
    def of(cls, row: Erasure) -> "Entry":
        """What the ledger has."""
        return cls(row.public_id, row.person, row.merged, row.faces, row.photos, _cause(row.cause), row.asked_at)

    def to_json(self) -> dict[str, Any]:
        """As :meth:`of_json` reads it."""
        return {
            "id": self.id,
            "person": self.person,
            "merged": list(self.merged),
            "faces": list(self.faces),
            "photos": list(self.photos),
            "cause": self.cause,
            "asked_at": self.asked_at,
        }

    @classmethod
    def of_json(cls, held: Mapping[str, Any]) -> "Entry":
        """Read what :meth:`to_json` gave.

        Raises:
            KeyError, TypeError, ValueError: It is nothing of the kind.
        """
        lists = {name: [str(each) for each in held[name]] for name in ("merged", "faces", "photos")}
        person = None if held["person"] is None else str(held["person"])
        return cls(str(held["id"]), person, **lists, cause=_cause(str(held["cause"])), asked_at=float(held["asked_at"]))


def by_public_id(session: Session, collection_id: int, public_id: str) -> Erasure:
    """The erasure of that id.

    Raises:
        NotFound: There is none in this collection.
    """
    mine = (Erasure.collection_id == collection_id, Erasure.public_id == public_id)
    found = session.scalar(select(Erasure).where(*mine))
    if found is None:
        raise NotFound("erasure", public_id)
    return found


def page(
    session: Session,
    collection_id: int,
    *,
    is_open: bool | None = None,
    person: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Sequence[Erasure]:
    """Erasures of a collection, the latest first, at most *limit*, below erasure number *before*.

    Open ones, closed ones, or all; of one person, by their public id, or of everybody.
    """
    wanted = select(Erasure).where(Erasure.collection_id == collection_id)
    if person is not None:
        wanted = wanted.where(Erasure.person == person)
    if is_open is not None:
        wanted = wanted.where(Erasure.closed_at.is_(None) if is_open else Erasure.closed_at.is_not(None))
    if before is not None:
        wanted = wanted.where(Erasure.id < before)
    return session.scalars(wanted.order_by(Erasure.id.desc()).limit(limit)).all()


def hasten(session: Session, row: Erasure) -> None:
    """Have all of it done now; somebody waits."""
    if row.closed_at is None:
        row.urgent = True
        session.flush()


def open_ones(session: Session, *, limit: int = _AT_ONCE) -> Sequence[Erasure]:
    """Erasures of which something may be left, those that are due first at the front."""
    wanted = select(Erasure).where(Erasure.closed_at.is_(None))
    return session.scalars(wanted.order_by(Erasure.urgent.desc(), Erasure.due_at, Erasure.id).limit(limit)).all()


def due(session: Session, *, looked_s: float = 0.0, limit: int = _AT_ONCE) -> Sequence[Erasure]:
    """Open erasures whose time to be hastened has come; those that are not urgent only if the last look was *looked_s* ago."""
    long_ago = or_(Erasure.urgent, Erasure.looked_at.is_(None), Erasure.looked_at <= now() - looked_s)
    wanted = select(Erasure).where(Erasure.closed_at.is_(None), _is_pressing(), long_ago)
    return session.scalars(wanted.order_by(Erasure.urgent.desc(), Erasure.due_at, Erasure.id).limit(limit)).all()


class Counts(NamedTuple):
    """How many erasures are not closed."""

    open: int
    overdue: int
    """Those whose time is over: something is in the way, and their findings say what."""


def counts(session: Session) -> Counts:
    """How many erasures of all collections are open, and how many of these overdue."""
    late = func.count().filter(Erasure.due_at < now())
    row = session.execute(select(func.count(), late).where(Erasure.closed_at.is_(None))).one()
    return Counts(*row)


def overdue(session: Session, *, limit: int = _AT_ONCE) -> Sequence[Erasure]:
    """Open erasures whose time is over."""
    wanted = select(Erasure).where(Erasure.closed_at.is_(None), Erasure.due_at < now())
    return session.scalars(wanted.order_by(Erasure.due_at, Erasure.id).limit(limit)).all()


def pressing(session: Session) -> dict[int, Pressing]:
    """By collection, up to where nothing removed may be left in files any more. Asked by searchers, every few seconds."""
    # Of another history: whatever was made before this one has to go, and nothing that was made in it.
    sequence = func.max(case((Erasure.epoch == Collection.epoch, Erasure.sequence), else_=0))
    wanted = select(Collection.id, Collection.epoch, sequence).join(Erasure, Erasure.collection_id == Collection.id)
    rows = session.execute(
        wanted.where(Erasure.closed_at.is_(None), _is_pressing()).group_by(Collection.id, Collection.epoch)
    )
    return {number: Pressing(epoch, up_to) for number, epoch, up_to in rows}


def look(session: Session, row: Erasure, findings: Mapping[str, Any], *, closed: bool) -> None:
    """Write down what a look has found; *closed*: nothing."""
    values: dict[str, Any] = {"looked_at": now(), "findings": dict(findings)}
    if closed:
        values["closed_at"] = now()
    session.execute(update(Erasure).where(Erasure.id == row.id, Erasure.closed_at.is_(None)).values(**values))


def unmirrored(session: Session, *, limit: int = _AT_ONCE) -> Sequence[Erasure]:
    """Entries that are in the catalog alone, oldest first."""
    wanted = select(Erasure).where(Erasure.mirrored_at.is_(None))
    return session.scalars(wanted.order_by(Erasure.id).limit(limit)).all()


def mirrored(session: Session, ids: Sequence[int]) -> None:
    """Note that entries are written down outside the catalog, too."""
    session.execute(update(Erasure).where(Erasure.id.in_(ids)).values(mirrored_at=now()))


class Left(NamedTuple):
    """What rows still say of whoever was erased; nothing, or somebody has brought it back."""

    people: int
    faces: int
    photos: int
    merges: int


def left_in_rows(session: Session, row: Erasure) -> Left:
    """Look for rows of what an erasure names."""
    named = [each for each in (row.person, *row.merged) if each]
    return Left(
        _count(session, Person.public_id, named),
        _count(session, Face.public_id, row.faces),
        _count(session, Photo.public_id, row.photos),
        _count(session, Merge.gone, named, Merge.undone_at.is_(None)),
    )


def replay(session: Session, entries: Iterable[Entry], *, within_s: float = WITHIN_S) -> int:
    """Erase from a catalog out of a backup what a ledger names, whoever it is said to be of there.

    Who was enrolled again later has another id, and stays. An entry is replayed once: the ledger has its id then.

    Args:
        session: A writing transaction; of many entries, give some at a time.
        entries: Of the ledger as it was kept: in the backup, in the photo store, in a file.
        within_s: By when nothing of it may be left anywhere.

    Returns:
        How many of them the backup still had something of.
    """
    found = 0
    asking = Asking("replayed", within_s=within_s)
    for entry in entries:
        named = [each for each in (entry.person, *entry.merged) if each]
        there = _people(session, named)
        merges = session.scalars(delete(Merge).where(Merge.gone.in_(named)).returning(Merge.id)).all()
        for person in there:
            people.erase(session, person, asking)
        found += any((there, merges, _replay_faces(session, entry, asking)))
    return found


def _replay_faces(session: Session, entry: Entry, asking: Asking) -> bool:
    """Delete the photos and faces of an entry that are there, whosever they were then; those stay. Whether there were any."""
    gone = False
    for photo in _rows(session, Photo, entry.photos):
        photos.erase(session, photo, asking)
        gone = True
    for face in _rows(session, Face, entry.faces):
        if session.get(Face, face.id) is not None:  # Its other rows went with the first.
            faces.erase(session, face, asking)
            gone = True
    return gone


def _people(session: Session, public_ids: Sequence[str]) -> Sequence[Person]:
    return session.scalars(select(Person).where(Person.public_id.in_(public_ids)).order_by(Person.id)).all()


def _rows(session: Session, table: type[_R], public_ids: Sequence[str]) -> list[_R]:
    found: list[_R] = []
    for start in range(0, len(public_ids), _AT_ONCE):
        some = table.public_id.in_(public_ids[start : start + _AT_ONCE])
        found += session.scalars(select(table).where(some).order_by(table.id))
    return found


def _count(session: Session, column: Any, public_ids: Sequence[str], *more: ColumnElement[bool]) -> int:  # noqa: ANN401 - a column
    count = 0
    for start in range(0, len(public_ids), _AT_ONCE):
        some = column.in_(public_ids[start : start + _AT_ONCE])
        count += session.scalar(select(func.count()).where(some, *more)) or 0
    return count


def _is_pressing() -> ColumnElement[bool]:
    wait = (Erasure.due_at - Erasure.asked_at) / WAITED_SHARE
    return or_(Erasure.urgent, and_(Erasure.asked_at + wait <= now()))


def _cause(word: str) -> Cause:
    match word:
        case "asked" | "expired" | "withdrawn" | "left" | "replayed":
            return word
    raise ValueError(f"{word!r} is no cause of an erasure.")
