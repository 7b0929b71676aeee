"""A step of the start: a process of its own that does one thing to the catalog, and ends with a sentence where it cannot."""

import sys
from collections.abc import Callable

from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.logs import configure, last_words
from services.settings.service import CatalogSettings, Environment, Home


def run(work: Callable[[Environment, Catalog], None]) -> None:
    """Do *work* by this process's settings; exit with what went wrong, if anything did."""
    environment = Environment.of_process()
    settings, home = environment.load(CatalogSettings), environment.load(Home)
    configure(home)
    try:
        catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
        work(environment, catalog)
        catalog.close()
    except ColegaError as error:
        sys.exit(last_words(home, error))
