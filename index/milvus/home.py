"""Where replicas live whose vectors are in Milvus: two Milvus collections each, and a mark."""

import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from index.attributes import Attributes
from index.milvus.marks import Marks
from index.milvus.replica import MilvusReplica
from index.milvus.server import Server
from index.owners import Owners
from index.protocol import Log
from index.replica import Replica

_NAME = re.compile(r"colega_(?P<key>\d+_\d+)_(?P<epoch>\w+)_(?P<generation>[0-9a-f]{16})_(faces|people)")


@dataclass
class MilvusHome:
    """An :class:`index.follower.Home` of one collection under one model.

    Another epoch, and every filling from rows, has Milvus collections of its own: what is half-filled or of another
    history is never searched.
    """

    server: Server
    marks: Marks
    log: Log
    collection: int
    model: int
    dimension: int
    has_lease: Callable[[], bool]
    """Whether this searcher is the one that writes."""

    def restored(self, epoch: str) -> tuple[Replica | None, list[str]]:
        """What Milvus has of this history, with owners and attributes from the catalog. No vector is read.

        Raises:
            IndexUnavailable: Milvus does not answer.
        """
        mark = self.marks.of(self._key)
        if mark is None or mark.epoch != epoch:
            return None, []
        replica = self._replica(epoch, mark.generation)
        missing = {replica.faces.name, replica.templates.name} - set(self.server.names())  # type: ignore[attr-defined]
        if missing:
            return None, [f"Milvus has lost {', '.join(sorted(missing))}."]
        blocks = [(np.zeros(0, np.int64), np.zeros(0, np.int64)), *self.log.owners(self.collection, self.model)]
        owners = Owners(np.concatenate([faces for faces, _ in blocks]), np.concatenate([each for _, each in blocks]))
        attributes = Attributes()
        attributes.fill(self.log.attributes(self.collection))
        replica.restored(owners, attributes, sequence=mark.sequence)
        return replica, []

    def empty(self, epoch: str) -> Replica:
        """A replica without faces, to be filled.

        Raises:
            IndexBehind: That is for another searcher to do.
            IndexUnavailable: Milvus does not answer.
        """
        replica = self._replica(epoch, secrets.token_hex(8))
        replica.begin(self.dimension)
        return replica

    @property
    def _key(self) -> str:
        return f"{self.collection}_{self.model}"

    def _replica(self, epoch: str, generation: str) -> MilvusReplica:
        spelt = re.sub(r"[^0-9A-Za-z]", lambda found: f"_{ord(found[0]):x}_", epoch)
        return MilvusReplica(
            self.server,
            self.marks,
            key=self._key,
            name=f"colega_{self._key}_{spelt}_{generation}",
            epoch=epoch,
            generation=generation,
            dimension=self.dimension,
            has_lease=self.has_lease,
        )


class Sweep:
    """Removes Milvus collections that nothing refers to: of collections that are gone, replaced, or half-filled."""

    def __init__(self, server: Server, marks: Marks) -> None:
        self._server, self._marks = server, marks
        self._before: set[str] = set()

    def sweep(self, collections: Collection[int]) -> list[str]:
        """Remove what was obsolete the last time and is now. For the writer, every minute or so.

        What was replaced is still searched by others for a moment. The database is this installation's alone.

        Args:
            collections: Those that the catalog has.

        Returns:
            The names of the Milvus collections that are gone now.

        Raises:
            IndexUnavailable: Milvus does not answer.
        """
        obsolete = {name for name in self._server.names() if self._is_obsolete(name, collections)}
        removed = sorted(obsolete & self._before)
        for name in removed:
            match = _NAME.fullmatch(name)
            if match is not None and not _is_of(match, collections):
                self._marks.drop(match["key"])
            self._server.drop(name)
        self._before = obsolete - set(removed)
        return removed

    def _is_obsolete(self, name: str, collections: Collection[int]) -> bool:
        match = _NAME.fullmatch(name)
        if match is None or match["generation"] in self._marks.filling:
            return False
        mark = self._marks.of(match["key"])
        return not _is_of(match, collections) or mark is None or mark.generation != match["generation"]


def _is_of(match: re.Match[str], collections: Collection[int]) -> bool:
    return int(match["key"].split("_")[0]) in collections
