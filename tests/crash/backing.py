"""A backup or a restore that dies by SIGKILL: ``python -m tests.crash.backing backup|restore CATALOG_URL BUCKET FOLDER AT``.

AT counts what is written: files of the backup, or tables and objects of a restore. 0 lives on.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.backups import making, restoring
from services.backups.copying import Source
from services.backups.destination import Folder, Written
from services.catalog.engine import Catalog
from services.photos.store import PhotoStore
from services.settings.service import Environment, PhotoStoreSettings
from tests import vaults


class Dying:
    """Ends this process at the so-manieth step."""

    def __init__(self, at: int) -> None:
        self._left = at

    def step(self, told: Any = None) -> None:
        """One more."""
        del told
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), 9)


class Watched(Folder):
    """A folder that tells of every file half-way through it."""

    def __init__(self, path: Path, dying: Dying) -> None:
        super().__init__(path)
        self._dying = dying

    def write(self, name: str, pieces: Iterable[bytes]) -> Written:
        """As a folder does, and half-way it is told."""

        def watched() -> Iterable[bytes]:
            for number, piece in enumerate(pieces):
                yield piece
                if number == 0:
                    self._dying.step()

        return super().write(name, watched())


def main() -> None:
    """Back up or restore."""
    verb, url, bucket, folder, at = sys.argv[1:]
    settings = Environment.of_process().load(PhotoStoreSettings).model_copy(update={"photos_bucket": bucket})
    catalog, dying = Catalog(url), Dying(int(at))
    source = Source(catalog, PhotoStore.of(settings), vaults.sealed(PhotoStore.of(settings), catalog).wrapping)
    if verb == "backup":
        making.make(source, Watched(Path(folder), dying), keep=0, tell=lambda told: None)  # noqa: ARG005
        return
    put = source.store.put

    def counted(key: str, data: Any, **how: Any) -> None:
        put(key, data, **how)
        dying.step()

    source.store.put = counted  # type: ignore[method-assign]
    restoring.restore(source, Folder(Path(folder)), at=None, only=None, replace=False, tell=dying.step)


if __name__ == "__main__":
    main()
