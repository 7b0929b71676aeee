"""Upkeep that dies by SIGKILL at a named moment of sealing: ``python -m tests.crash.sealing MOMENT``; ``never`` lives on."""

import os
import sys

from services.catalog.engine import Catalog
from services.settings.service import CatalogSettings, Environment
from services.vault import Vault
from workers import sealing


def main() -> None:
    """Seal everything that is plain."""

    def passed(now: str) -> None:
        if now == sys.argv[1]:
            os.kill(os.getpid(), 9)

    environment = Environment.of_process()
    catalog = Catalog(environment.load(CatalogSettings).catalog_url.get_secret_value())
    sealing.seal(catalog, Vault.of(environment, catalog), for_s=60.0, begun_for_s=-1.0, passed=passed)


if __name__ == "__main__":
    main()
