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

_MARKS_BEFORE = "colega_marks"
"""What marks were called when they, and the collections, were those of a model's number."""
_NAME = re.compile(r"colega_(?P<key>\d+_g?\d+)_(?P<epoch>\w+)_(?P<edition>[0-9a-f]{16})_(faces|people)")


@dataclass
class MilvusHome:
    """An :class:`index.follower.Home` of one collection in one generation.

    Another epoch, and every filling from rows, has Milvus collections of its own: what is half-filled or of another
    history is never searched.
    """

    server: Server
    marks: Marks
    log: Log
    collection: int
    generation: int
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
        replica = self._replica(epoch, mark.edition)
        missing = {replica.faces.name, replica.templates.name} - set(self.server.names())  # type: ignore[attr-defined]
        if missing:
            return None, [f"Milvus has lost {', '.join(sorted(missing))}."]
        blocks = [(np.zeros(0, np.int64), np.zeros(0, np.int64)), *self.log.owners(self.collection, self.generation)]
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
        return _key(self.collection, self.generation)

    def _replica(self, epoch: str, edition: str) -> MilvusReplica:
        spelt = re.sub(r"[^0-9A-Za-z]", lambda found: f"_{ord(found[0]):x}_", epoch)
        return MilvusReplica(
            self.server,
            self.marks,
            key=self._key,
            name=f"colega_{self._key}_{spelt}_{edition}",
            epoch=epoch,
            edition=edition,
            dimension=self.dimension,
            has_lease=self.has_lease,
        )


class Sweep:
    """Removes Milvus collections that nothing refers to: of generations that are gone, replaced, or half-filled."""

    def __init__(self, server: Server, marks: Marks) -> None:
        self._server, self._marks = server, marks
        self._before: set[str] = set()

    def sweep(self, kept: Collection[tuple[int, int]]) -> list[str]:
        """Remove what was obsolete the last time and is now. For the writer, every minute or so.

        What was replaced is still searched by others for a moment. The database is this installation's alone.

        Args:
            kept: The collections and generations that searches may look in.

        Returns:
            The names of the Milvus collections that are gone now.

        Raises:
            IndexUnavailable: Milvus does not answer.
        """
        keys = {_key(*each) for each in kept}
        obsolete = {name for name in self._server.names() if self._is_obsolete(name, keys)}
        removed = sorted(obsolete & self._before)
        for name in removed:
            match = _NAME.fullmatch(name)
            if match is not None and match["key"] not in keys:
                self._marks.drop(match["key"])
            self._server.drop(name)
        self._before = obsolete - set(removed)
        return removed

    def _is_obsolete(self, name: str, keys: Collection[str]) -> bool:
        if name == _MARKS_BEFORE:
            return True
        match = _NAME.fullmatch(name)
        if match is None or match["edition"] in self._marks.filling:
            return False
        mark = self._marks.of(match["key"])
        return match["key"] not in keys or mark is None or mark.edition != match["edition"]


def _key(collection: int, generation: int) -> str:
    """How both are called among the marks; a key without the letter was made for the number of a model."""
    return f"{collection}_g{generation}"
