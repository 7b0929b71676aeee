"""Wait until the catalog may be used by this version: what a deployment runs before a process that would fail without it.

``python -m services.local.await_catalog`` ends with 0 then, or with 1 and a sentence after ten minutes.
"""

import sys
import time
from collections.abc import Callable

from services.catalog.engine import Catalog
from services.catalog.migrate import is_current
from services.errors import CatalogUnavailable, ColegaError
from services.settings.service import CatalogSettings, Environment

_WITHIN_S = 600.0
_POLL_S = 1.0


def wait(catalog: Catalog, within_s: float = _WITHIN_S, pause: Callable[[float], None] = time.sleep) -> None:
    """Return as soon as *catalog* answers and its schema is one that this version works on.

    Raises:
        CatalogUnavailable: That did not come about within *within_s* seconds.
    """
    give_up_at = time.monotonic() + within_s
    while True:
        try:
            if is_current(catalog):
                return
            reason = "The catalog's schema is too old for this version. Run: colega migrate"
        except CatalogUnavailable as error:
            reason = str(error)
        if time.monotonic() > give_up_at:
            raise CatalogUnavailable(reason)
        pause(_POLL_S)


def main() -> None:
    """The command."""
    try:
        settings = Environment.of_process().load(CatalogSettings)
        wait(Catalog(settings.catalog_url.get_secret_value(), busy_s=3.0, pool_size=1))
    except ColegaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
