"""Rows of the audit: who did what, chained so that a gap or a change shows."""

from typing import Any

from sqlalchemy import JSON, Float, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row


class AuditEntry(Row):
    """Something that was asked of a gateway, and how it went. Ids only; no name, no face, no secret."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_time", "at"), Index("audit_by_object", "object", "at"))

    chain: Mapped[str] = mapped_column(String(32), primary_key=True)
    """One a gateway process."""
    sequence: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    """From 1, without holes."""
    at: Mapped[float] = mapped_column(Float)
    """By the gateway's clock."""
    key: Mapped[str | None] = mapped_column(String(32))
    """Public id; None: nobody had shown one that is valid."""
    action: Mapped[str] = mapped_column(String(64))
    collection: Mapped[str | None] = mapped_column(String(64))
    object: Mapped[str | None] = mapped_column(String(64))
    """Public id of what it was done to."""
    outcome: Mapped[int]
    """The status of the answer."""
    details: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    """Counts and ids."""
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the entry before and of this one."""


class AuditHead(Row):
    """How far a chain had got at some moment, written down apart from it: what was cut off its end shows, too."""

    __tablename__ = "audit_heads"
    __table_args__ = (Index("audit_heads_by_chain", "chain", "sequence"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    chain: Mapped[str] = mapped_column(String(32))
    sequence: Mapped[int] = mapped_column(Key)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[float] = mapped_column(Float)
    kind: Mapped[str] = mapped_column(String(16))
    """``begun``, ``anchored``, ``ended``, or ``pruned``: what is older was removed as the settings say."""
