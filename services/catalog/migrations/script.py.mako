"""${message}.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
beside = ${repr(up_revision)}
"""The oldest revision whose code works on this schema, too: a name of before, where this one only adds (docs/upgrade.md)."""


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
