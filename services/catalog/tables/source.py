"""Rows of what collections are kept in step with: a directory of staff photos that is read again and again."""

from sqlalchemy import Float, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from services.catalog.schema import Key, Row, now


class Source(Row):
    """Where people of a collection come from, by the name that it is synchronised under."""

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("collection_id", "name", name="sources_by_name"),)

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(1024))
    created_at: Mapped[float] = mapped_column(Float, default=now())
    synchronised_at: Mapped[float | None]


class SourceFile(Row):
    """A file that was seen in a source, whom it showed, and what told it from its next version."""

    __tablename__ = "source_files"
    __table_args__ = (
        UniqueConstraint("source_id", "path", name="source_files_by_path"),
        Index("source_files_by_person", "person_id"),
        Index("source_files_by_photo", "photo_id"),
        Index("source_files_by_former_photo", "former_photo_id"),
        Index("source_files_by_item", "item_id"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"))
    path: Mapped[str] = mapped_column(String(1024))
    """Of who was erased here only ``sha256:`` and its hash: enough not to bring them back as long as the file stays as it is."""
    size_bytes: Mapped[int] = mapped_column(Key)
    modified_ns: Mapped[int] = mapped_column(Key)
    sha256: Mapped[str] = mapped_column(String(64))
    whose: Mapped[str] = mapped_column(String(64))
    """Hash of the external id, or else the name, that the source gave its person; what the person is called by now may differ."""
    label: Mapped[str] = mapped_column(String(64))
    """Hash of all that the source said of the person, so that a change of it shows."""
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id", ondelete="SET NULL"))
    photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    former_photo_id: Mapped[int | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    """Of the file as it was before; deleted when the new one is done and nobody else needs it."""
    item_id: Mapped[int | None] = mapped_column(ForeignKey("job_items.id", ondelete="SET NULL"))
    """What tells how it ended."""
    state: Mapped[str] = mapped_column(String(16))
    """``sent``: its item tells the rest. Or it never was: ``rejected``, ``skipped``; or who it showed was ``erased`` here."""
    reason: Mapped[str | None] = mapped_column(String(32))
    seen_at: Mapped[float] = mapped_column(Float, default=now())
