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
        Index("deliveries_waiting", "webhook_id", "subject", "id", sqlite_where=WAITING, postgresql_where=WAITING),
        Index("deliveries_by_webhook", "webhook_id", "id"),
        Index("deliveries_by_person", "person_id"),
        Index("deliveries_finished", "finished_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(32))
    """Public id of what happened; whoever gets it twice knows it by this."""
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(128))
    """What it happened to: a job, a rebuild, a camera's person."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    """Whom it tells of; who is erased takes it along."""
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What is sent. Where it tells of a person it goes when it was sent or given up."""
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    """``waiting``; ends ``delivered`` or ``given_up``."""
    attempts: Mapped[int] = mapped_column(default=0)
    claimed_by: Mapped[str | None] = mapped_column(String(128))
    """Who sends it at this moment, as ``host:pid``."""
    next_at: Mapped[float] = mapped_column(Float, default=now())
    """Not before; while somebody sends it, when their claim runs out."""
    status: Mapped[int | None]
    """HTTP status of the last attempt; None where nobody answered."""
    error: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[float] = mapped_column(Float, default=now())
    finished_at: Mapped[float | None]
