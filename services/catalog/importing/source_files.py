"""Files of sources: what was seen of each, so that it is not read again, and whom and what it showed."""

from collections.abc import Collection as Some
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from services.catalog.schema import Item, Person, now
from services.catalog.tables.source import Source, SourceFile
from services.path_hashes import hashed

SENT, ERASED = "sent", "erased"
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of a source as it was when it was read."""

    size_bytes: int
    modified_ns: int
    whose: str
    """Hash of what its person is known by in the source."""
    label: str
    """Hash of all that the source says of them."""


def at(session: Session, source_id: int, path: str) -> SourceFile | None:
    """What is kept of the file at *path*, locked."""
    paths = (path[:1024], hashed(path))
    wanted = select(SourceFile).where(SourceFile.source_id == source_id, SourceFile.path.in_(paths))
    return session.scalar(wanted.order_by(SourceFile.id).with_for_update().execution_options(populate_existing=True))


def saw(session: Session, source_id: int, path: str, sha256: str, seen: Seen, item: Item) -> None:
    """Keep that a file was sent, with the transaction that made its item.

    What it showed before is deleted when the new photo is done: :func:`settle`.
    """
    before = at(session, source_id, path)
    former = None
    if before is not None:
        former = before.former_photo_id or (before.photo_id if before.photo_id != item.photo_id else None)
    values = {
        "path": path[:1024],
        "size_bytes": seen.size_bytes,
        "modified_ns": seen.modified_ns,
        "sha256": sha256,
        "whose": seen.whose,
        "label": seen.label,
        "person_id": item.person_id,
        "photo_id": item.photo_id,
        "former_photo_id": former,
        "item_id": item.id,
        "state": SENT,
        "reason": None,
        "seen_at": now(),
    }
    _write(session, source_id, before, values)


def note(session: Session, source: Source, path: str, sha256: str, seen: Seen, state: str, reason: str | None) -> None:
    """Keep that a file was read and not sent; or, where it is known just so, what the source says of its person now."""
    before = at(session, source.id, path)
    values = {
        "size_bytes": seen.size_bytes,
        "modified_ns": seen.modified_ns,
        "whose": seen.whose,
        "label": seen.label,
        "seen_at": now(),
    }
    if before is None or before.sha256 != sha256:
        values |= {"path": path[:1024], "sha256": sha256, "state": state, "reason": reason}
        values |= {"photo_id": None if before is None else before.photo_id, "item_id": None}
    _write(session, source.id, before, values)


def move(session: Session, source: Person, into: Person) -> None:
    """Give what *source*'s files show to *into*, who is the same person."""
    session.execute(update(SourceFile).where(SourceFile.person_id == source.id).values(person_id=into.id))


def move_back(session: Session, items: Some[int], into: Person, person: Person) -> None:
    """Give files that were sent as *person*'s, by the numbers of their items, back to them."""
    numbers = list(items)
    for start in range(0, len(numbers), _AT_ONCE):
        mine = (SourceFile.item_id.in_(numbers[start : start + _AT_ONCE]), SourceFile.person_id == into.id)
        session.execute(update(SourceFile).where(*mine).values(person_id=person.id))


def forget(session: Session, whose: ColumnElement[bool]) -> None:
    """Forget what files were called whose person or photo is erased. As long as they stay as they are, they are not sent again."""
    rows = session.execute(select(SourceFile.id, SourceFile.path).where(whose, SourceFile.state != ERASED)).all()
    for number, path in rows:
        blind = {"path": hashed(path), "whose": "", "label": "", "state": ERASED, "reason": None}
        blind |= {"person_id": None, "item_id": None}
        session.execute(update(SourceFile).where(SourceFile.id == number).values(**blind))


def _write(session: Session, source_id: int, before: SourceFile | None, values: dict[str, object]) -> None:
    if before is not None:
        session.execute(update(SourceFile).where(SourceFile.id == before.id).values(**values))
        session.expire(before)
        return
    session.add(SourceFile(source_id=source_id, **values))
    session.flush()
