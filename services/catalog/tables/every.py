"""All tables, for those who need the whole schema: migrations, backups and the test that compares the two."""

from services.catalog.schema import Row
from services.catalog.tables import (  # noqa: F401 - Each adds its tables to the metadata.
    audit,
    backup,
    console,
    privacy,
    process,
    rebuild,
    request,
    sealing,
    source,
    webhook,
)

METADATA = Row.metadata
