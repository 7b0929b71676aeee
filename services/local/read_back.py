"""After an unclean stop: the photos taken last are read back from the store before the service says that it is ready.

``python -m services.local.read_back SECONDS`` writes a line for each that is not there as it came.
"""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from services.catalog import photos
from services.catalog.engine import Catalog
from services.local import step
from services.logs import logger
from services.settings.service import Environment
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


def _read_back(environment: Environment, catalog: Catalog) -> None:
    with catalog.reading() as session:
        recent = photos.recent(session, float(sys.argv[1]))
    for key in lost(recent, Vault.of(environment, catalog).holds):
        logger().error(LOST, object=key)


if __name__ == "__main__":
    step.run(_read_back)
