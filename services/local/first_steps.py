"""What comes before everything else, in a process of its own: the catalog's schema, the wrapping keys looked at, a first key.

``python -m services.local.first_steps``; the supervisor reads the key from ``DATA/instance.json`` afterwards.
"""

import time
from pathlib import Path

from services import wrappings
from services.catalog import keys
from services.catalog.auditing import writing as audit
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from services.errors import Unauthorized
from services.local import step
from services.local.instance import Instance
from services.settings.sealing import SealingSettings
from services.settings.service import Environment, Home

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


def _steps(environment: Environment, catalog: Catalog) -> None:
    take(catalog, environment.load(Home).data)
    wrappings.given(environment.load(SealingSettings), catalog)


if __name__ == "__main__":
    step.run(_steps)
