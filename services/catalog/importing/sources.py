"""Sources: what collections are kept in step with, and what was seen in each when it was read last."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import Session, aliased

from services.catalog import photos
from services.catalog.engine import upsert
from services.catalog.erasing.ledger import Asking
from services.catalog.importing import source_files
from services.catalog.running import processes
from services.catalog.schema import Face, Item, Job, Person, Photo, new_id, now
from services.catalog.tables.source import Source, SourceFile
from services.errors import Conflict, NotFound

LEASE_S = 20.0
"""So long a synchronisation that says nothing is taken for under way."""


class SourceRow(NamedTuple):
    """A file of a source, and how it ended."""

    file: SourceFile
    state: str
    """``queued``, ``done``, ``duplicate``, ``cancelled`` or ``rejected``, as its item; ``skipped`` or ``erased``."""
    reason: str | None
    person: str | None
    """Public ids."""
    photo: str | None


def ensure(session: Session, collection_id: int, name: str) -> Source:
    """The source of that name of a collection, made where there is none."""
    row = upsert(session, Source).values(public_id=new_id("src"), collection_id=collection_id, name=name)
    session.execute(row.on_conflict_do_nothing(index_elements=["collection_id", "name"]))
    return session.scalars(select(Source).where(Source.collection_id == collection_id, Source.name == name)).one()


def by_public_id(session: Session, collection_id: int, public_id: str) -> Source:
    """The source of that id.

    Raises:
        NotFound: There is none in this collection.
    """
    found = session.scalar(select(Source).where(Source.collection_id == collection_id, Source.public_id == public_id))
    if found is None:
        raise NotFound("source", public_id)
    return found


def all_of(session: Session, collection_id: int) -> Sequence[Source]:
    """The sources of a collection, by name."""
    return session.scalars(select(Source).where(Source.collection_id == collection_id).order_by(Source.name)).all()


def count(session: Session, source: Source) -> int:
    """How many files were seen in a source."""
    mine = select(func.count()).select_from(SourceFile).where(SourceFile.source_id == source.id)
    return session.scalar(mine) or 0


def begin(session: Session, source: Source, holder: str, *, instead_of: str | None = None) -> None:
    """Have *holder* alone bring a source in step, until :func:`end` or for :data:`LEASE_S`; renews it, too.

    Args:
        session: A writing transaction.
        source: Its row.
        holder: Who.
        instead_of: A holder that is known to have died.

    Raises:
        Conflict: Somebody else does.
    """
    if instead_of is not None:
        processes.release(session, _lease(source), instead_of)
    is_renewed = processes.holder_of(session, _lease(source)) == holder
    if not processes.acquire(session, _lease(source), holder, LEASE_S):
        raise Conflict(f"Source {source.name} is being brought in step already, by another command. Wait for its end.")
    if not is_renewed:  # What a run that died had opened gets no more photos.
        left = (Job.source_id == source.id, Job.closed.is_(False), Job.archive.is_(False))
        session.execute(update(Job).where(*left).values(closed=True))


def end(session: Session, source: Source, holder: str) -> None:
    """Say that *holder* is done, and that all of the source was seen."""
    source.synchronised_at = session.scalar(select(now()))
    session.flush()
    processes.release(session, _lease(source), holder)


def holder_of(session: Session, source: Source) -> str | None:
    """Who brings a source in step at this moment."""
    return processes.holder_of(session, _lease(source))


def page(session: Session, source: Source, *, limit: int, after: int = 0) -> list[SourceRow]:
    """The files of a source by number, after file number *after*."""
    wanted = (
        select(SourceFile, Item.state, Item.reason, Person.public_id, Photo.public_id)
        .outerjoin(Item, Item.id == SourceFile.item_id)
        .outerjoin(Person, Person.id == SourceFile.person_id)
        .outerjoin(Photo, Photo.id == SourceFile.photo_id)
        .where(SourceFile.source_id == source.id, SourceFile.id > after)
        .order_by(SourceFile.id)
        .limit(limit)
    )
    return [_told(*row) for row in session.execute(wanted)]


def release(session: Session, source: Source, paths: Sequence[str], asking: Asking) -> list[str]:
    """Forget files, and delete their photos where nobody else needs them. Returns the public ids of those photos.

    A photo is needed by another file, here or in another source, and by whoever has sent it otherwise.
    """
    gone: list[str] = []
    for path in paths:
        row = source_files.at(session, source.id, path)
        if row is None:
            continue
        numbers = {number for number in (row.photo_id, row.former_photo_id) if number is not None}
        session.execute(delete(SourceFile).where(SourceFile.id == row.id))
        session.expunge(row)
        for number in sorted(numbers):
            if _is_only_from(session, source, number):
                photo = session.get_one(Photo, number)
                gone.append(photo.public_id)
                photos.erase(session, photo, asking)
    return gone


def settle(session: Session, source: Source, asking: Asking, *, limit: int = 20) -> int:
    """Delete the photos that files showed before they were changed, where the new ones are done. Returns how many rows that were.

    Where the new one was rejected, the former stays: better than none.
    """
    ended = (Item.state.in_(("done", "duplicate")), SourceFile.former_photo_id.is_not(None))
    wanted = (
        select(SourceFile).join(Item, Item.id == SourceFile.item_id).where(SourceFile.source_id == source.id, *ended)
    )
    rows = session.scalars(wanted.order_by(SourceFile.id).limit(limit)).all()
    for row in rows:
        number, row.former_photo_id = row.former_photo_id, None
        session.flush()
        if number is not None and number != row.photo_id and _is_only_from(session, source, number):
            photos.erase(session, session.get_one(Photo, number), asking)
    return len(rows)


class Stay(NamedTuple):
    """Why somebody who is no longer in a source stays, or that nothing speaks for it."""

    photos: int
    """Photos that show them, or are said to, and came from elsewhere, too."""


def stays(session: Session, source: Source, person: Person) -> Stay:
    """What else speaks for *person* than *source*: photos that somebody sent otherwise, or that another source has."""
    shown = select(Face.photo_id).where(Face.person_id == person.id)
    said = select(Item.photo_id).where(Item.person_id == person.id, Item.photo_id.is_not(None))
    theirs = session.scalars(select(Photo.id).where(or_(Photo.id.in_(shown), Photo.id.in_(said)))).all()
    return Stay(sum(not _is_only_from(session, source, number, but_for=person) for number in theirs))


def files_of(session: Session, source: Source, person: Person) -> list[str]:
    """The paths of the files of a source that are a person's."""
    mine = (SourceFile.source_id == source.id, SourceFile.person_id == person.id)
    return list(session.scalars(select(SourceFile.path).where(*mine).order_by(SourceFile.id)))


def _lease(source: Source) -> str:
    return f"source:{source.public_id}"


def _told(file: SourceFile, state: str | None, reason: str | None, person: str | None, photo: str | None) -> SourceRow:
    if state is None:
        return SourceRow(file, "done" if file.state == source_files.SENT else file.state, file.reason, person, photo)
    return SourceRow(file, "queued" if state == "waiting" else state, reason, person, photo)


def _is_only_from(session: Session, source: Source, photo_id: int, *, but_for: Person | None = None) -> bool:
    """Whether nobody but *source* has sent a photo, and no file shows it; those of *but_for* in *source* do not count."""
    other = aliased(SourceFile)
    here: ColumnElement[bool] = or_(other.photo_id == photo_id, other.former_photo_id == photo_id)
    if but_for is not None:
        here = and_(here, or_(other.source_id != source.id, other.person_id.is_distinct_from(but_for.id)))
    if session.scalar(select(other.id).where(here).limit(1)) is not None:
        return False
    otherwise = (Job.source_id.is_distinct_from(source.id), Item.state.in_(("done", "duplicate", "queued", "waiting")))
    sent = select(Item.id).join(Job, Job.id == Item.job_id).where(Item.photo_id == photo_id, *otherwise)
    return session.scalar(sent.limit(1)) is None
