"""How Alembic runs here: on the connection it is handed by :mod:`services.catalog.migrate`."""

from alembic import context

from services.catalog import console_schema, rebuild_schema, webhook_schema  # noqa: F401 - their tables belong to the metadata.
from services.catalog.schema import Row

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=Row.metadata, render_as_batch=True, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
