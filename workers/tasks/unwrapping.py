"""What a worker looks at before it has children: whether it can open what is sealed."""

import sys

from services import wrappings
from services.catalog.engine import Catalog
from services.errors import CannotStart, InvalidSettings
from services.logs import last_words
from services.settings.sealing import SealingSettings
from services.settings.service import CatalogSettings, Environment, Home


def require(environment: Environment) -> None:
    """End this process with a sentence where a wrapping key is missing; nothing is left open."""
    settings = environment.load(CatalogSettings)
    catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s, pool_size=1)
    try:
        wrappings.given(environment.load(SealingSettings), catalog)
    except (CannotStart, InvalidSettings) as error:
        sys.exit(last_words(environment.load(Home), error))
    finally:
        catalog.close()
