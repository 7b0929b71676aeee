"""Cleansing: what was erased leaves a searcher's files: segments, snapshots, and the folders of searchers that are gone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from index.engine.home import EngineHome
from services.catalog.engine import Catalog
from services.catalog.erasing import erasures, ledger
from services.catalog.erasing.erasures import Pressing
from services.logs import logger
from workers.serving.folders import OwnFolder
from workers.serving.replicas import Replicas

_MAPS = Path("/proc/self/maps")


class Cleansing:
    """What one searcher does for erasures whose time has come. Used by the thread that follows the logs.

    Memory is not disk: a vector may stay in memory that was freed until something else takes its place.

    Args:
        catalog: Says what is pressing.
        folder: Where the files are.
        replicas: Whose they are.
        writes: Whether this searcher is the one that writes to Milvus, where there is one; else None.
    """

    def __init__(
        self, catalog: Catalog, folder: OwnFolder, replicas: Replicas, writes: Callable[[], bool] | None
    ) -> None:
        self._catalog, self._folder, self._replicas, self._writes = catalog, folder, replicas, writes
        self._said: dict[int, int | None] = {}

    def tend(self) -> bool:
        """Do what is pressing, a step at a time. Whether there is news to tell.

        Raises:
            CatalogUnavailable: It cannot be asked what is pressing.
        """
        with self._catalog.reading() as session:
            pressing = erasures.pressing(session)
        said = {collection: self._cleansed(collection, wanted) for collection, wanted in pressing.items()}
        is_news, self._said = said != self._said, said
        return is_news

    def described(self) -> dict[str, Any]:
        """What the closing job is told: by collection, up to which log entry nothing removed is left here.

        None: Milvus has the vectors, and another searcher writes them.
        """
        return {"cleansed": {str(collection): sequence for collection, sequence in self._said.items()}}

    def least(self, collection: int) -> int:
        """The log entry that a snapshot must have been cleansed up to, for it to be used: what was closed stays gone."""
        with self._catalog.reading() as session:
            return ledger.last(session, collection)

    def _cleansed(self, collection: int, wanted: Pressing) -> int | None:
        if self._writes is not None and not self._writes():
            return None
        dropped = self._folder.forget(collection, self._replicas.in_use)
        if dropped:
            logger().info("index.folders_cleansed", collection=collection, folders=dropped)
        mine = [self._replica(key, wanted) for key in self._replicas.in_use if key[0] == collection]
        return wanted.sequence if all(mine) else -1

    def _replica(self, key: tuple[int, int], wanted: Pressing) -> bool:
        """Whether nothing removed up to there is left of one replica; what is next for it is done or begun."""
        held = self._replicas.hasten(key, wanted.sequence)
        if held is None or held.replica is None or held.replica.epoch != wanted.epoch:
            return False  # It is being loaded, or made anew.
        if held.replica.cleansed < wanted.sequence or not self._replicas.is_written(key, wanted.sequence):
            return False
        home = held.home
        if not isinstance(home, EngineHome):
            return True
        home.snapshots.forget(wanted.epoch, wanted.sequence)
        home.snapshots.clean(held.replica.files())
        return not _is_mapped(home.folder)


def _is_mapped(folder: Path) -> bool:
    """Whether this process still has a file of *folder* open that is deleted: until it lets go, the bytes are there."""
    try:
        maps = _MAPS.read_text("utf-8", "replace")
    except OSError:
        return False
    return any(str(folder) in line and line.endswith("(deleted)") for line in maps.splitlines())
