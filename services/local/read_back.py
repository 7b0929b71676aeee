"""After an unclean stop: the photos taken last are read back from the store before the service says that it is ready.

``python -m services.local.read_back SECONDS`` writes a line for each that is not there as it came.
"""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from services.catalog import photos
from services.catalog.engine import Catalog
from services.errors import ColegaError
from services.logs import configure, last_words, logger
from services.settings import CatalogSettings, Environment, Home
from services.vault import Vault

LOST = "photo.lost"
"""By which the lines are known."""
_AT_ONCE = 8


def lost(recent: Iterable[tuple[str, str]], holds: Callable[[str, str], bool]) -> list[str]:
    """Those of *recent*, pairs of object key and SHA-256, that the store does not hold as they came."""
    wanted = list(recent)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        held = pool.map(lambda pair: holds(*pair), wanted)
        return [key for (key, _), there in zip(wanted, held, strict=True) if not there]


def main() -> None:
    """The command."""
    environment = Environment.of_process()
    settings, home = environment.load(CatalogSettings), environment.load(Home)
    configure(home)
    try:
        catalog = Catalog(settings.catalog_url.get_secret_value(), busy_s=settings.catalog_busy_s)
        with catalog.reading() as session:
            recent = photos.recent(session, float(sys.argv[1]))
        store = Vault.of(environment, catalog)
        gone = lost(recent, store.holds)
    except ColegaError as error:
        sys.exit(last_words(home, error))
    for key in gone:
        logger().error(LOST, object=key)


if __name__ == "__main__":
    main()
