"""The tables of rebuilds: what is made of a collection under another model or detector, chunk by chunk."""

from typing import Any

from sqlalchemy import JSON, Float, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now

LEFT_OUT = ("missing", "unreadable", "crashed")
"""Kinds of findings: what could not be carried over and is not tried again; a rebuild goes on with these only where asked to."""


class Rebuild(Row):
    """A collection made anew under another model or detector: its plan, how far it is, how it compares."""

    __tablename__ = "rebuilds"
    __table_args__ = (Index("rebuilds_by_collection", "collection_id"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    detector_id: Mapped[int | None] = mapped_column(ForeignKey("models.id"))
    """The detector's file that it ends with; None is the built-in MTCNN."""
    from_generation: Mapped[int] = mapped_column(Key)
    """What was active when it began; what a rollback returns to. It may be gone by now."""
    generation_id: Mapped[int | None] = mapped_column(Key)
    """What is being made; None before the plan is accepted."""
    state: Mapped[str] = mapped_column(String(16))
    """``planning``, ``embedding``, ``paused``, ``comparing``, ``ready``, ``stopped`` (by the policy), ``switching``, ``switched``,
    ``rolled_back``; ends ``failed``, ``cancelled`` or ``pruned``."""
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    """What was asked, as the API took it."""
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    comparison: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    comparison_job: Mapped[str | None] = mapped_column(String(32))
    """Public id of the job that compares."""
    waiting_for: Mapped[list[str]] = mapped_column(JSON, default=list)
    """The processes that a switch waits for."""
    asked_by: Mapped[str] = mapped_column(String(64), default="")
    """The name of the key."""
    error: Mapped[str | None] = mapped_column(String(1024))
    problem: Mapped[str | None] = mapped_column(String(64))
    """The type of the error that ended it."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
    embedding_at: Mapped[float | None]
    """When re-embedding began."""
    embedded_at: Mapped[float | None]
    """When it was complete."""
    switched_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class Chunk(Row):
    """A share of a rebuild: about a second of work, for whoever claims it."""

    __tablename__ = "rebuild_chunks"
    __table_args__ = (Index("chunks_by_rebuild", "rebuild_id", "state"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    rebuild_id: Mapped[int] = mapped_column(ForeignKey("rebuilds.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(8))
    """``chips``: first and last are face numbers. ``photos``: they are photo numbers, to be looked at anew."""
    first_id: Mapped[int] = mapped_column(Key)
    last_id: Mapped[int] = mapped_column(Key)
    total: Mapped[int]
    """Faces or photos between them when the chunk was made."""
    state: Mapped[str] = mapped_column(String(8), default="queued")
    """``queued``; ends ``done``."""
    faces: Mapped[int] = mapped_column(default=0)
    """Faces that it brought into the generation."""
    claim: Mapped[str | None] = mapped_column(String(64))
    claimed_by: Mapped[str | None] = mapped_column(String(128))
    claim_expires_at: Mapped[float | None]
    attempts: Mapped[int] = mapped_column(default=0)
    """One with an attempt behind it is halved; a photo alone that was tried three times is left out, and listed."""
    created_at: Mapped[float] = mapped_column(Float, default=now())
    finished_at: Mapped[float | None]


class Finding(Row):
    """A face or a photo that a rebuild could not simply carry into the new generation."""

    __tablename__ = "rebuild_findings"
    __table_args__ = (Index("findings_by_rebuild", "rebuild_id", "kind"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    rebuild_id: Mapped[int] = mapped_column(ForeignKey("rebuilds.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    """``missing`` (chip or photo is not in the photo store), ``unreadable``, ``crashed``, ``kept`` (not found again: as it was
    before) or ``ambiguous`` (found more than once: kept as it was until somebody decides)."""
    photo_id: Mapped[str | None] = mapped_column(String(32))
    """Public ids: both may be gone by now."""
    face_id: Mapped[str | None] = mapped_column(String(32))
    object_key: Mapped[str | None] = mapped_column(String(200))
    candidates: Mapped[list[str]] = mapped_column(JSON, default=list)
    """Of an ambiguous one: the faces, by public id, that it may be."""
    decided: Mapped[str | None] = mapped_column(String(32))
    """The candidate that somebody chose, or the face itself: none of them."""
