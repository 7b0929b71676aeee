"""Rows of what people do in the console: their sessions, what they say is not so, and merges that can be undone."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now


class ConsoleSession(Row):
    """Somebody signed in with a key. The cookie's value is kept as its hash; who ends the key ends its sessions."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    """Of the cookie's value: 256 random bits."""
    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[float] = mapped_column(Float, default=now())
    seen_at: Mapped[float] = mapped_column(Float, default=now())
    expires_at: Mapped[float] = mapped_column(Float)


class NotSame(Row):
    """Somebody said "this is not them", of a face and a person, of two faces, or of two people. It is not proposed again."""

    __tablename__ = "not_same"
    __table_args__ = (
        Index("not_same_by_face", "face", "person_id", unique=True),
        Index("not_same_by_faces", "face", "other_face", unique=True),
        Index("not_same_by_other_face", "other_face"),
        Index("not_same_by_people", "other_id", "person_id", unique=True),
        Index("not_same_by_person", "person_id"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    face: Mapped[str | None] = mapped_column(String(32))
    """Public id of a face, the same in every round; removed with the face."""
    other_face: Mapped[str | None] = mapped_column(String(32))
    """Instead of a person: a face of the group that ``face`` was taken out of."""
    other_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    """Instead of a face: another person, of a larger number than ``person_id``."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    said_by: Mapped[str] = mapped_column(String(64))
    """Name of the key."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Merge(Row):
    """A person who was merged into another, as they were: enough to undo it. Goes when who remained is erased."""

    __tablename__ = "merges"
    __table_args__ = (Index("merges_by_person", "into_id"), Index("merges_of_person", "collection_id", "gone"))

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    into_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    """Who remained; where they were merged on, who remained then."""
    gone: Mapped[str] = mapped_column(String(32))
    """Public id of who went."""
    person: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Who went: ``name``, ``external_id``, ``attributes``, ``created_at``; None once it is undone."""
    faces: Mapped[list[str]] = mapped_column(JSON)
    """Public ids of the faces that were theirs."""
    items: Mapped[list[int]] = mapped_column(JSON)
    """Numbers of the items of jobs that were said to show them."""
    merges: Mapped[list[int]] = mapped_column(JSON)
    """Numbers of the merges into them, which go on with them."""
    not_same: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What was said not to be them."""
    consents: Mapped[list[int] | None] = mapped_column(JSON)
    """Numbers of the consents that were theirs."""
    merged_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(Float, default=now())
    undone_at: Mapped[float | None]
