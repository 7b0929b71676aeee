"""Rows of the audit: who did what, chained so that a gap or a change shows.

Four tables hold each other. An entry's hash covers the entry and the hash before it; the chain's row says how far it has got,
and is moved on in the transaction that adds entries; heads say how far it had got every minute, and are counted by the chain's
row; the first entry of a chain names the others as they stood. ``services.catalog.auditing.verifying`` compares them.
"""

from typing import Any

from sqlalchemy import JSON, Float, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now


class AuditEntry(Row):
    """Something that was asked of a gateway, and how it went. Ids only; no name, no face, no secret."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_time", "at"), Index("audit_by_object", "object", "at"))

    chain: Mapped[str] = mapped_column(String(32), primary_key=True)
    """One a gateway process."""
    sequence: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    """From 1, without holes."""
    at: Mapped[float] = mapped_column(Float)
    """By the gateway's clock, to the millisecond."""
    key: Mapped[str | None] = mapped_column(String(32))
    """Public id; None: nobody had shown one that is valid."""
    action: Mapped[str] = mapped_column(String(64))
    collection: Mapped[str | None] = mapped_column(String(64))
    object: Mapped[str | None] = mapped_column(String(64))
    """Public id of what it was done to."""
    outcome: Mapped[int]
    """The status of the answer; 0: how it ended was never written down, since the gateway died."""
    details: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Counts and ids."""
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the hash before and of this entry."""


class AuditChain(Row):
    """How far a chain is now, and how much of its beginning was removed as the settings say."""

    __tablename__ = "audit_chains"

    chain: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(Key)
    """Of its last entry."""
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    heads: Mapped[int]
    """The number of its last head."""
    pruned: Mapped[int] = mapped_column(Key, default=0)
    """Entries up to this one were removed by age; 0: none."""
    pruned_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Of the last entry that was removed."""
    pruned_heads: Mapped[int] = mapped_column(default=0)
    """Heads up to this number went with them."""
    seen_at: Mapped[float] = mapped_column(Float, default=now())
    """When its process last said that it lives. Not part of what is proved."""


class AuditHead(Row):
    """How far a chain had got at some moment, written down apart from it: what was cut off its end shows, too."""

    __tablename__ = "audit_heads"

    chain: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    """From 1, without holes."""
    sequence: Mapped[int] = mapped_column(Key)
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    kind: Mapped[str] = mapped_column(String(16))
    """``begun``, ``anchored`` or ``ended``."""


class AuditIntent(Row):
    """A change that is under way: written with the change itself, removed with the entry that says how it went.

    One that is left belongs to a gateway that died in between; another one writes its entry.
    """

    __tablename__ = "audit_intents"
    __table_args__ = (Index("audit_intents_by_chain", "chain"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    chain: Mapped[str] = mapped_column(String(32))
    at: Mapped[float] = mapped_column(Float)
    key: Mapped[str | None] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(64))
    collection: Mapped[str | None] = mapped_column(String(64))
    object: Mapped[str | None] = mapped_column(String(64))
