"""Backups that were made, and whether a catalog is being restored."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, inspect, select
from sqlalchemy.orm import Session

from services.catalog.engine import Catalog
from services.catalog.schema import Face, Job, Photo
from services.catalog.tables.backup import Backup, Restore


def note(
    session: Session, name: str, job: str | None, destination: str, figures: Mapping[str, Any], began_at: float
) -> Backup:
    """Write down a backup that is complete."""
    row = Backup(
        public_id=name,
        job_id=None if job is None else session.scalar(select(Job.id).where(Job.public_id == job)),
        destination=destination[:1024],
        figures=dict(figures),
        began_at=began_at,
    )
    session.add(row)
    session.flush()
    return row


def page(session: Session, *, limit: int, before: int | None = None) -> Sequence[tuple[Backup, str | None]]:
    """Backups with the public ids of their jobs, newest first, at most *limit*, older than number *before*."""
    wanted = select(Backup, Job.public_id).join(Job, Job.id == Backup.job_id, isouter=True)
    if before is not None:
        wanted = wanted.where(Backup.id < before)
    return [(row, job) for row, job in session.execute(wanted.order_by(Backup.id.desc()).limit(limit))]


def is_named(session: Session, key: str) -> bool:
    """Whether a row names the object now."""
    columns = (Photo.object_key, Photo.thumbnail_key, Face.chip_key)
    return any(session.scalar(select(column).where(column == key).limit(1)) is not None for column in columns)


def under_way(session: Session) -> Restore | None:
    """The restore that has not come to its end; None: there is none."""
    if not is_kept(session.connection()):
        return None
    return session.scalar(select(Restore).limit(1))


def is_kept(connection: Connection) -> bool:
    """Whether the schema has a table for restores by now."""
    return inspect(connection).has_table(Restore.__tablename__)


def half_restored(catalog: Catalog) -> str | None:
    """What is to be said where a restore has not come to its end; None: there is none."""
    with catalog.reading() as session:
        row = under_way(session)
    if row is None:
        return None
    return (
        f"The catalog is half restored, from {row.backup} in {row.destination}. Go on first: "
        f"colega restore {row.destination} --at {row.backup}"
    )
