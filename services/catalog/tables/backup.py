"""Rows of backups that were made, and of a restore that is under way."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now


class Backup(Row):
    """A backup that is complete: where it went and what is in it."""

    __tablename__ = "backups"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    destination: Mapped[str] = mapped_column(String(1024))
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Rows, objects and bytes, how many of them were new, and the seconds that it took."""
    began_at: Mapped[float] = mapped_column(Float)
    """What was written until then is in it."""
    finished_at: Mapped[float] = mapped_column(Float, default=now())


class Restore(Row):
    """A restore of this catalog that has not come to its end: nothing else may start on it. One row at the most."""

    __tablename__ = "restores"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    backup: Mapped[str] = mapped_column(String(64))
    """Its name."""
    destination: Mapped[str] = mapped_column(String(1024))
    stage: Mapped[str] = mapped_column(String(16))
    """``rows`` or ``objects``: what is being put back."""
    tables: Mapped[list[str]] = mapped_column(JSON)
    """Those that are whole by now."""
    began_at: Mapped[float] = mapped_column(Float, default=now())
