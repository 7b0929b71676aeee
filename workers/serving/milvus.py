"""Milvus for the searcher: where replicas live whose vectors are there, and what it has to be told now and then."""

import time
from collections.abc import Callable, Collection

from index.milvus.home import MilvusHome, Sweep
from index.milvus.marks import Marks
from index.milvus.server import Server
from index.protocol import Log
from services.errors import IndexUnavailable, InvalidSettings
from services.logs import logger
from services.settings.service import MilvusSettings

_SWEEP_EVERY_S = 60.0


class Milvus:
    """One Milvus, used by one searcher, whichever of them writes.

    Args:
        settings: Where it is.
        log: What replicas follow.
        has_lease: Whether this searcher is the writer. Asked before every change, from any thread.

    Raises:
        InvalidSettings: No address is given, or one with a password in it, which would be shown with every error.
    """

    def __init__(self, settings: MilvusSettings, log: Log, has_lease: Callable[[], bool]) -> None:
        if not settings.milvus_uri or "@" in settings.milvus_uri:
            raise InvalidSettings(
                "COLEGA_INDEX_BACKEND=milvus needs COLEGA_MILVUS_URI, such as http://milvus:19530; user and password go "
                "into COLEGA_MILVUS_TOKEN."
            )
        self._server = Server(
            settings.milvus_uri,
            token=settings.milvus_token.get_secret_value(),
            database=settings.milvus_database,
            kind=settings.milvus_index,
        )
        self._marks = Marks(self._server)
        self._sweep = Sweep(self._server, self._marks)
        self._swept_at = 0.0
        self._log = log
        self._has_lease = has_lease

    def home(self, collection: int, generation: int, dimension: int) -> MilvusHome:
        """Where the replica of a collection in a generation lives."""
        return MilvusHome(self._server, self._marks, self._log, collection, generation, dimension, self._has_lease)

    def tend(self, kept: Collection[tuple[int, int]]) -> None:
        """Where this searcher writes: remove what belongs to none of the generations *kept* any more, once a minute.

        Args:
            kept: Collections and generations.
        """
        if not self._has_lease() or time.monotonic() - self._swept_at < _SWEEP_EVERY_S:
            return
        self._swept_at = time.monotonic()
        try:
            for name in self._sweep.sweep(kept):
                logger().info("milvus.dropped", name=name)
        except IndexUnavailable as error:
            logger().warning("milvus.not_swept", error=str(error))

    def close(self) -> None:
        """End the connection."""
        self._server.close()
