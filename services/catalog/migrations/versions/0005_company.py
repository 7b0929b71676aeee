"""What a company asks for: sealed objects, lawful bases, erasures with receipts, the audit, synchronised sources, backups.

It only adds, so processes of the version before go on beside it.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
beside = "0004"
"""The oldest revision whose code works on this schema, too."""

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN = sa.text("closed_at IS NULL")
REJECTED = sa.text("state = 'rejected'")
EXPIRES = sa.text("expires_at IS NOT NULL")
PLAIN = sa.text("sealed_key IS NULL")


def upgrade() -> None:
    op.add_column("alembic_version", sa.Column("beside", sa.String(length=32), nullable=True))
    _sealing()
    _privacy()
    _audit()
    _sources()
    _backups()
    _meters()
    _keys()
    op.add_column("requests", sa.Column("worked_by", sa.String(length=128), nullable=True))


def _sealing() -> None:
    """What objects are sealed with."""
    op.create_table(
        "object_keys",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealing_since", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "wrapping_keys",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("check_value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("photos", sa.Column("sealed_key", sa.LargeBinary(), nullable=True))
    op.add_column("photos", sa.Column("sealing_since", sa.Double(), nullable=True))
    op.create_index("photos_by_object", "photos", ["object_key"])
    op.create_index("photos_plain", "photos", ["id"], sqlite_where=PLAIN, postgresql_where=PLAIN)
    being_sealed = sa.text("sealing_since IS NOT NULL")
    op.create_index(
        "photos_being_sealed", "photos", ["sealing_since"], sqlite_where=being_sealed, postgresql_where=being_sealed
    )


def _privacy() -> None:
    """Who is in a collection on what basis, for how long, and who was erased."""
    op.create_table(
        "erasures",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("person", sa.String(length=32), nullable=True),
        sa.Column("merged", sa.JSON(), nullable=False),
        sa.Column("faces", sa.JSON(), nullable=False),
        sa.Column("photos", sa.JSON(), nullable=False),
        sa.Column("sequence", KEY, nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=32), nullable=True),
        sa.Column("asked_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("looked_at", sa.Double(), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=True),
        sa.Column("mirrored_at", sa.Double(), nullable=True),
        sa.Column("closed_at", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_index("erasures_by_person", "erasures", ["person"])
    op.create_index("erasures_by_collection", "erasures", ["collection_id", "sequence"])
    op.create_index("erasures_open", "erasures", ["due_at"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "consents",
        sa.Column("id", KEY, nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("given_at", sa.Double(), nullable=False),
        sa.Column("notice_version", sa.String(length=64), nullable=False),
        sa.Column("notice", sa.String(length=16384), nullable=False),
        sa.Column("recorded_by", sa.String(length=32), nullable=False),
        sa.Column("recorded_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("consents_by_person", "consents", ["person_id"])
    op.add_column("collections", sa.Column("basis", sa.JSON(), nullable=True))
    op.add_column("collections", sa.Column("retention_days", sa.Double(), nullable=True))
    op.add_column("collections", sa.Column("retained", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("asked_by", sa.String(length=32), nullable=True))
    op.add_column("merges", sa.Column("consents", sa.JSON(), nullable=True))
    op.add_column("people", sa.Column("expires_at", sa.Double(), nullable=True))
    op.create_index("people_that_expire", "people", ["expires_at"], sqlite_where=EXPIRES, postgresql_where=EXPIRES)
    op.create_index("items_by_person", "job_items", ["person_id"])


def _audit() -> None:
    """Who did what."""
    op.create_table(
        "audit",
        sa.Column("chain", sa.String(length=32), nullable=False),
        sa.Column("sequence", KEY, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("collection", sa.String(length=64), nullable=True),
        sa.Column("object", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=True),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("chain", "sequence"),
    )
    op.create_index("audit_by_object", "audit", ["object", "at"])
    op.create_index("audit_by_time", "audit", ["at"])
    op.create_table(
        "audit_chains",
        sa.Column("chain", sa.String(length=32), nullable=False),
        sa.Column("sequence", KEY, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("heads", sa.Integer(), nullable=False),
        sa.Column("pruned", KEY, nullable=False),
        sa.Column("pruned_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("pruned_heads", sa.Integer(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("chain"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("chain", sa.String(length=32), nullable=False),
        sa.Column("number", KEY, autoincrement=False, nullable=False),
        sa.Column("sequence", KEY, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("chain", "number"),
    )
    op.create_table(
        "audit_intents",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("chain", sa.String(length=32), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key", sa.String(length=32), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("collection", sa.String(length=64), nullable=True),
        sa.Column("object", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("audit_intents_by_chain", "audit_intents", ["chain"])


def _sources() -> None:
    """What collections are kept in step with."""
    op.create_table(
        "sources",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("name", sa.String(length=1024), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("synchronised_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("collection_id", "name", name="sources_by_name"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_table(
        "source_files",
        sa.Column("id", KEY, nullable=False),
        sa.Column("source_id", KEY, nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("size_bytes", KEY, nullable=False),
        sa.Column("modified_ns", KEY, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("whose", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("person_id", KEY, nullable=True),
        sa.Column("photo_id", KEY, nullable=True),
        sa.Column("former_photo_id", KEY, nullable=True),
        sa.Column("item_id", KEY, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["former_photo_id"], ["photos.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["item_id"], ["job_items.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source_id", "path", name="source_files_by_path"),
    )
    op.create_index("source_files_by_person", "source_files", ["person_id"])
    op.create_index("source_files_by_photo", "source_files", ["photo_id"])
    op.create_index("source_files_by_former_photo", "source_files", ["former_photo_id"])
    op.create_index("source_files_by_item", "source_files", ["item_id"])
    op.add_column("jobs", sa.Column("source_id", KEY, nullable=True))


def _backups() -> None:
    """Backups that were made, and the restore that is under way."""
    op.create_table(
        "backups",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("job_id", KEY, nullable=True),
        sa.Column("destination", sa.String(length=1024), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_table(
        "restores",
        sa.Column("id", KEY, nullable=False),
        sa.Column("backup", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=1024), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("tables", sa.JSON(), nullable=False),
        sa.Column("began_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _meters() -> None:
    """What processes count together, and a quick way to what was rejected."""
    op.create_table(
        "meters",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label"),
    )
    op.create_index("items_rejected", "job_items", ["reason"], sqlite_where=REJECTED, postgresql_where=REJECTED)


def _keys() -> None:
    """What keys were before they were rotated."""
    op.add_column("api_keys", sa.Column("old_sha256", sa.String(length=64), nullable=True))
    op.add_column("api_keys", sa.Column("old_until", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("rotated_at", sa.Double(), nullable=True))
    op.create_index("api_keys_by_old_sha256", "api_keys", ["old_sha256"], unique=True)
