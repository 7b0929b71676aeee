"""How Alembic runs here: on the connection it is handed by :mod:`services.catalog.migrate`."""

from alembic import context

from services.catalog.tables.every import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=METADATA, render_as_batch=True, transaction_per_migration=False
)
with context.begin_transaction():
    context.run_migrations()
