"""All tables, for those who need the whole schema: migrations, backups and the test that compares the two."""

from services.catalog import (  # noqa: F401 - Each adds its tables to the metadata.
    audit_schema,
    backup_schema,
    console_schema,
    privacy_schema,
    process_schema,
    rebuild_schema,
    request_schema,
    sealing_schema,
    source_schema,
    webhook_schema,
)
from services.catalog.schema import Row

METADATA = Row.metadata
