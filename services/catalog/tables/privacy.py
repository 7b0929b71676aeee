"""Rows of what the law asks for: who agreed to what, who was erased when, and what proves it."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now

OPEN = text("closed_at IS NULL")


class Consent(Row):
    """Somebody agreed to be in a collection, where that is its basis. Withdrawing it erases them, and this row with them."""

    __tablename__ = "consents"
    __table_args__ = (Index("consents_by_person", "person_id"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    given_at: Mapped[float] = mapped_column(Float)
    notice_version: Mapped[str] = mapped_column(String(64))
    """Of the text that they agreed to."""
    notice: Mapped[str] = mapped_column(String(16_384))
    """That text, as it was then."""
    recorded_by: Mapped[str] = mapped_column(String(32))
    """Public id of the key that recorded it."""
    recorded_at: Mapped[float] = mapped_column(Float, default=now())


class Erasure(Row):
    """Somebody or something was deleted for good: the ledger's entry. Ids and times only, so that it may outlive them.

    A restore replays it: what it names is deleted from what came out of a backup before anything starts.
    """

    __tablename__ = "erasures"
    __table_args__ = (
        Index("erasures_open", "due_at", sqlite_where=OPEN, postgresql_where=OPEN),
        Index("erasures_by_person", "person"),
        Index("erasures_by_collection", "collection_id", "sequence"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(Key)
    """A plain number: the collection may be gone by now."""
    person: Mapped[str | None] = mapped_column(String(32))
    """Public ids, here and below. None: photos or faces alone were deleted."""
    merged: Mapped[list[str]] = mapped_column(JSON)
    """Those who had been merged into them."""
    faces: Mapped[list[str]] = mapped_column(JSON)
    photos: Mapped[list[str]] = mapped_column(JSON)
    """Those that went."""
    sequence: Mapped[int] = mapped_column(Key)
    """The log entry after which nobody finds them."""
    epoch: Mapped[str] = mapped_column(String(32))
    """Of that number."""
    cause: Mapped[str] = mapped_column(String(16))
    """``asked``, ``expired``, ``withdrawn``, ``left`` the source they came from, or ``replayed`` after a restore."""
    asked_by: Mapped[str | None] = mapped_column(String(32))
    """Public id of the key, where somebody asked."""
    asked_at: Mapped[float] = mapped_column(Float, default=now())
    due_at: Mapped[float] = mapped_column(Float)
    """When at the latest nothing of them is left anywhere."""
    urgent: Mapped[bool] = mapped_column(default=False)
    """Somebody waits for it."""
    looked_at: Mapped[float | None]
    """When it was last looked what is left."""
    findings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """What that look found: what is gone, and what is not yet."""
    mirrored_at: Mapped[float | None]
    """When it was last written down in the photo store, too: a catalog may be lost."""
    closed_at: Mapped[float | None]
    """When a look found nothing."""
