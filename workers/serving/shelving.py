"""Shelving: snapshots of an index in the photo store, as the index asks for it."""

import time
from collections.abc import Iterator
from pathlib import Path

from services.errors import DamagedObject, MissingObject, Unavailable
from services.photos import keys
from services.vault import Vault


class PhotoStoreShelf:
    """An :class:`index.protocol.Shelf` in the photo store, for one collection in one generation."""

    def __init__(self, store: Vault, collection: int, generation: int) -> None:
        self._store = store
        self._prefix = keys.snapshots(collection, generation)

    def names(self) -> Iterator[tuple[str, float]]:
        """See :class:`index.protocol.Shelf`.

        Raises:
            OSError: The store or the catalog cannot be reached.
        """
        try:
            for stored in self._store.list(self._prefix):
                yield stored.key.removeprefix(self._prefix), time.time() - stored.modified.timestamp()
        except Unavailable as error:
            raise OSError(str(error)) from error

    def put(self, name: str, file: Path) -> None:
        """See :class:`index.protocol.Shelf`.

        Raises:
            OSError: The store or the catalog cannot be reached.
        """
        try:
            self._store.put(self._prefix + name, file)
        except Unavailable as error:
            raise OSError(str(error)) from error

    def get(self, name: str, file: Path) -> None:
        """See :class:`index.protocol.Shelf`.

        Raises:
            OSError: It is not there, does not open, or the store or the catalog cannot be reached.
        """
        try:
            with file.open("wb") as out:
                for piece in self._store.stream(self._prefix + name):
                    out.write(piece)
        except (MissingObject, DamagedObject, Unavailable) as error:
            file.unlink(missing_ok=True)
            raise OSError(str(error)) from error

    def delete(self, name: str) -> None:
        """See :class:`index.protocol.Shelf`.

        Raises:
            OSError: The store or the catalog cannot be reached.
        """
        try:
            self._store.delete(self._prefix + name)
        except Unavailable as error:
            raise OSError(str(error)) from error
