"""Rows of requests that may be sent twice."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Row, now


class Request(Row):
    """An idempotency key and the answer it got; kept for a day."""

    __tablename__ = "requests"

    api_key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """SHA-256 of method, path and body: another request under the same key is refused."""
    status: Mapped[int | None]
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    worked_by: Mapped[str | None] = mapped_column(String(128))
    """The gateway process that works on it."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
