"""Rows of who runs, and of who alone does what."""

from typing import Any

from sqlalchemy import JSON, Float, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Row, now


class Process(Row):
    """Who runs, and how far each of its replicas is."""

    __tablename__ = "processes"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """``gateway``, ``interactive``, ``bulk``, ``searcher``, ``training`` or ``maintenance``."""
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    started_at: Mapped[float] = mapped_column(Float, default=now())
    seen_at: Mapped[float] = mapped_column(Float, default=now())
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """Model and variant of a worker; collection, model, epoch and sequence of each replica of a searcher."""


class Lease(Row):
    """One process at a time does what is named here, for as long as it renews."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[float]


class Meter(Row):
    """A number that only grows: what all processes together have counted."""

    __tablename__ = "meters"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of a histogram: the upper bound of what was counted, or ``sum``."""
    value: Mapped[float]
