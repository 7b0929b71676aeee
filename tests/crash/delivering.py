"""A process that delivers until it is killed: ``python -m tests.crash.delivering CATALOG_URL``."""

import ssl
import sys
import threading

from services.catalog.engine import Catalog
from workers.delivering import Deliverer, How


def main() -> None:
    """Deliver, impatiently."""
    how = How(private=True, trust=ssl.create_default_context())
    catalog = Catalog(sys.argv[1])
    Deliverer(catalog, how.post, first_pause_s=0.05, looks_every_s=0.05).run(threading.Event())


if __name__ == "__main__":
    main()
