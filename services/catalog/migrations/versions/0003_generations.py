"""Generations: a collection's faces under a model and a detection, several of them at a time; rebuilds, which make them.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NAMED = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
"""SQLite's constraints without a name are found by one."""


def upgrade() -> None:
    op.create_table(
        "generations",
        sa.Column("id", KEY, nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("model_id", KEY, nullable=False),
        sa.Column("detector_id", KEY, nullable=True),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("dropped_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"]),
        sa.ForeignKeyConstraint(["detector_id"], ["models.id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("generations_by_collection", "generations", ["collection_id"])
    op.execute(
        "INSERT INTO generations (collection_id, model_id, detector_id, round, state, created_at) "
        "SELECT id, model_id, detector_id, 0, 'prepared', created_at FROM collections WHERE model_id IS NOT NULL"
    )
    _collections()
    _faces()
    _calibrations()
    _rebuilds()


def _collections() -> None:
    op.add_column("collections", sa.Column("generation_id", KEY, nullable=True))
    op.add_column("collections", sa.Column("round", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("collections", sa.Column("live", sa.JSON(), nullable=False, server_default="[]"))
    op.execute(
        "UPDATE collections SET generation_id = (SELECT id FROM generations WHERE collection_id = collections.id)"
    )
    live = "CAST('[' || generation_id || ']' AS JSON)" if _is_postgresql() else "'[' || generation_id || ']'"
    op.execute(f"UPDATE collections SET live = {live} WHERE generation_id IS NOT NULL")  # noqa: S608 - of constants
    with op.batch_alter_table("collections") as batch:
        batch.drop_column("live_models")
        batch.alter_column("round", existing_type=sa.Integer(), server_default=None)
        batch.alter_column("live", existing_type=sa.JSON(), server_default=None)


def _faces() -> None:
    op.add_column("faces", sa.Column("round", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("faces", naming_convention=NAMED) as batch:
        batch.drop_constraint("faces_public_id_key" if _is_postgresql() else "uq_faces_public_id", type_="unique")
        batch.create_unique_constraint("faces_by_public_id", ["public_id", "round"])
        batch.drop_index("faces_by_collection")
        batch.create_index("faces_by_round", ["collection_id", "round", "id"])
        batch.alter_column("round", existing_type=sa.Integer(), server_default=None)


def _calibrations() -> None:
    op.add_column("calibrations", sa.Column("generation_id", KEY, nullable=True))
    op.execute(
        "UPDATE calibrations SET generation_id = (SELECT id FROM generations WHERE collection_id = calibrations.collection_id "
        "AND model_id = calibrations.model_id)"
    )
    op.execute("DELETE FROM calibrations WHERE generation_id IS NULL")
    with op.batch_alter_table("calibrations") as batch:
        batch.drop_constraint("calibrations_by_model", type_="unique")
        batch.alter_column("generation_id", existing_type=KEY, nullable=False)
        batch.create_unique_constraint("calibrations_by_generation", ["generation_id"])
        batch.create_foreign_key(
            "calibrations_generation_id_fkey", "generations", ["generation_id"], ["id"], ondelete="CASCADE"
        )


def _rebuilds() -> None:
    op.create_table(
        "rebuilds",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("model_id", KEY, nullable=False),
        sa.Column("detector_id", KEY, nullable=True),
        sa.Column("from_generation", KEY, nullable=False),
        sa.Column("generation_id", KEY, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("comparison", sa.JSON(), nullable=True),
        sa.Column("comparison_job", sa.String(length=32), nullable=True),
        sa.Column("waiting_for", sa.JSON(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("error", sa.String(length=1024), nullable=True),
        sa.Column("problem", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("embedding_at", sa.Double(), nullable=True),
        sa.Column("embedded_at", sa.Double(), nullable=True),
        sa.Column("switched_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"]),
        sa.ForeignKeyConstraint(["detector_id"], ["models.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_index("rebuilds_by_collection", "rebuilds", ["collection_id"])
    op.create_table(
        "rebuild_chunks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("rebuild_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("first_id", KEY, nullable=False),
        sa.Column("last_id", KEY, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("faces", sa.Integer(), nullable=False),
        sa.Column("claim", sa.String(length=64), nullable=True),
        sa.Column("claimed_by", sa.String(length=128), nullable=True),
        sa.Column("claim_expires_at", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuilds.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("chunks_by_rebuild", "rebuild_chunks", ["rebuild_id", "state"])
    op.create_table(
        "rebuild_findings",
        sa.Column("id", KEY, nullable=False),
        sa.Column("rebuild_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("photo_id", sa.String(length=32), nullable=True),
        sa.Column("face_id", sa.String(length=32), nullable=True),
        sa.Column("object_key", sa.String(length=200), nullable=True),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("decided", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["rebuild_id"], ["rebuilds.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("findings_by_rebuild", "rebuild_findings", ["rebuild_id", "kind"])


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
