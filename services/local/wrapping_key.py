"""The wrapping key of one machine, in ``DATA/keys/wrapping``: made before anything is sealed, and never again.

``python -m services.local.wrapping_key`` makes it where it is missing and nothing is sealed yet.
"""

import os
from pathlib import Path

from sqlalchemy import inspect

from services.catalog import sealed
from services.catalog.engine import Catalog
from services.catalog.tables.sealing import WrappingKey
from services.errors import CannotStart
from services.local import step
from services.local.instance import WRAPPING_KEY
from services.photos import wrapping
from services.settings.service import Home


def make(catalog: Catalog, data: Path) -> None:
    """Make the key of *data*, readable by its owner alone.

    Raises:
        CannotStart: Something is sealed already: its key was lost, and another would not open it.
    """
    path = data / WRAPPING_KEY
    if known := _known(catalog):
        raise CannotStart(
            f"{path} is gone, and photos are sealed under the wrapping key {known[0]}. Put it back from where you kept it: "
            "without it nobody can open them."
        )
    path.parent.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(wrapping.generated() + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def _known(catalog: Catalog) -> list[str]:
    """Ids of the wrapping keys that something is sealed under, the newest first."""
    if not inspect(catalog.engine).has_table(WrappingKey.__tablename__):
        return []
    with catalog.reading() as session:
        return list(reversed(sealed.registered(session)))


if __name__ == "__main__":
    step.run(lambda environment, catalog: make(catalog, environment.load(Home).data))
