"""The console's sessions, "not the same", merges that can be undone; webhooks and what they are still to be told.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING = sa.text("state = 'waiting'")
PLAIN = {
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "ð": "d",
    "ħ": "h",
    "\u0131": "i",
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
    "\u2019": "'",
}
UNTOLD = sa.text("NOT announced")


def upgrade() -> None:
    _sessions()
    _not_same()
    _merges()
    _people()
    _webhooks()
    _jobs()


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("api_key_id", KEY, nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["api_key_id"], ["api_keys.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sha256"),
    )


def _not_same() -> None:
    op.create_table(
        "not_same",
        sa.Column("id", KEY, nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("face", sa.String(length=32), nullable=True),
        sa.Column("other_face", sa.String(length=32), nullable=True),
        sa.Column("other_id", KEY, nullable=True),
        sa.Column("person_id", KEY, nullable=True),
        sa.Column("said_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["other_id"], ["people.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("not_same_by_face", "not_same", ["face", "person_id"], unique=True)
    op.create_index("not_same_by_faces", "not_same", ["face", "other_face"], unique=True)
    op.create_index("not_same_by_other_face", "not_same", ["other_face"])
    op.create_index("not_same_by_people", "not_same", ["other_id", "person_id"], unique=True)
    op.create_index("not_same_by_person", "not_same", ["person_id"])


def _merges() -> None:
    op.create_table(
        "merges",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("collection_id", KEY, nullable=False),
        sa.Column("into_id", KEY, nullable=False),
        sa.Column("gone", sa.String(length=32), nullable=False),
        sa.Column("person", sa.JSON(), nullable=True),
        sa.Column("faces", sa.JSON(), nullable=False),
        sa.Column("items", sa.JSON(), nullable=False),
        sa.Column("merges", sa.JSON(), nullable=False),
        sa.Column("not_same", sa.JSON(), nullable=False),
        sa.Column("merged_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("undone_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["into_id"], ["people.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_index("merges_by_person", "merges", ["into_id"])
    op.create_index("merges_of_person", "merges", ["collection_id", "gone"])


def _people() -> None:
    """Newest first; and names with letters that are searched for in their plain form, too."""
    op.create_index("people_by_creation", "people", ["collection_id", "created_at", "id"])
    people = sa.table("people", sa.column("id", KEY), sa.column("search_name", sa.String()))
    said = [people.c.search_name.contains(letter) for letter in PLAIN]
    for row in op.get_bind().execute(sa.select(people).where(sa.or_(*said))).all():
        plain = row.search_name.translate(str.maketrans(PLAIN))[:512]
        op.execute(people.update().where(people.c.id == row.id).values(search_name=plain))


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", KEY, nullable=False),
        sa.Column("public_id", sa.String(length=32), nullable=False),
        sa.Column("collection_id", KEY, nullable=True),
        sa.Column("url", sa.String(length=1024), nullable=False),
        sa.Column("secret", sa.String(length=128), nullable=False),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("public_id"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", KEY, nullable=False),
        sa.Column("webhook_id", KEY, nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("person_id", KEY, nullable=True),
        sa.Column("body", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(length=128), nullable=True),
        sa.Column("next_at", sa.Double(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    of_subject = ["webhook_id", "subject", "id"]
    op.create_index("deliveries_waiting", "deliveries", of_subject, sqlite_where=WAITING, postgresql_where=WAITING)
    op.create_index("deliveries_by_webhook", "deliveries", ["webhook_id", "id"])
    op.create_index("deliveries_by_person", "deliveries", ["person_id"])
    op.create_index("deliveries_finished", "deliveries", ["finished_at"])


def _jobs() -> None:
    """Jobs whose end was told; those of before are not told any more. Items of which somebody said which face is meant."""
    op.add_column("job_items", sa.Column("box", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("jobs") as batch:
        batch.alter_column("announced", existing_type=sa.Boolean(), server_default=None)
    op.create_index("jobs_unannounced", "jobs", ["id"], sqlite_where=UNTOLD, postgresql_where=UNTOLD)
