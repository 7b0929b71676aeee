"""What comes before everything else, in a process of its own: the catalog's schema, and a first key.

``python -m services.local.first_steps``; the supervisor reads the key from ``DATA/instance.json`` afterwards.
"""

import sys
from pathlib import Path

from services.catalog import keys
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.errors import ColegaError, Unauthorized
from services.local.instance import Instance
from services.settings import CatalogSettings, Environment, Home

KEY_NAME = "first key"


def take(catalog: Catalog, data: Path) -> None:
    """Bring the schema up to date, and see that *data* names a key that may do everything."""
    migrate(catalog)
    instance = Instance.read(data)
    with catalog.transaction() as session:
        try:
            keys.check(session, instance.api_key or "")
        except Unauthorized:
            _, instance.api_key = keys.issue(session, KEY_NAME, ["admin"])
    instance.write(data)


def main() -> None:
    """The command."""
    environment = Environment.of_process()
    settings = environment.load(CatalogSettings)
    try:
        catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
        take(catalog, environment.load(Home).data)
        catalog.close()
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
