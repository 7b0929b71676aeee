"""What comes before everything else, in a process of its own: the catalog's schema, the wrapping keys looked at, a first key.

``python -m services.local.first_steps``; the supervisor reads the key from ``DATA/instance.json`` afterwards.
"""

import sys
import time
from pathlib import Path

from services import wrappings
from services.catalog import audit, keys
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.errors import ColegaError, Unauthorized
from services.local.instance import Instance
from services.logs import configure, last_words
from services.sealing_settings import SealingSettings
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
            made, instance.api_key = keys.issue(session, KEY_NAME, ["admin"])
            audit.alone(session, audit.Entry(round(time.time(), 3), None, "key.create", object=made.public_id))
    instance.write(data)


def main() -> None:
    """The command."""
    environment = Environment.of_process()
    settings, home = environment.load(CatalogSettings), environment.load(Home)
    configure(home)
    try:
        catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
        take(catalog, home.data)
        wrappings.given(environment.load(SealingSettings), catalog)
        catalog.close()
    except ColegaError as error:
        sys.exit(last_words(home, error))


if __name__ == "__main__":
    main()
