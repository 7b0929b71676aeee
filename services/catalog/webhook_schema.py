"""Rows of webhooks: whom to tell, and what is still to be told."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now

WAITING = text("state = 'waiting'")


class Webhook(Row):
    """An address that is told what happens."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int | None] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    """Only what happens in this one; None: in all."""
    url: Mapped[str] = mapped_column(String(1024))
    secret: Mapped[str] = mapped_column(String(128))
    """Signs what is sent; shown once."""
    events: Mapped[list[str]] = mapped_column(JSON)
    """Kinds of events that it is told of."""
    created_by: Mapped[str] = mapped_column(String(64))
    """Name of the key that made it."""
    created_at: Mapped[float] = mapped_column(Float, default=now())


class Delivery(Row):
    """An event on its way to one webhook, written by the transaction in which it happened. Of one subject they go in order."""

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_by_subject", "webhook_id", "subject", "id"),
        Index("deliveries_waiting", "next_at", sqlite_where=WAITING, postgresql_where=WAITING),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(32))
    """Public id of what happened; whoever gets it twice knows it by this."""
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(128))
    """What it happened to: a job, a rebuild, a camera's person."""
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    """``waiting``; ends ``delivered`` or ``given_up``."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(Float, default=now())
    """Not before."""
    status: Mapped[int | None]
    """HTTP status of the last attempt; None where nobody answered."""
    error: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[float] = mapped_column(Float, default=now())
    finished_at: Mapped[float | None]
