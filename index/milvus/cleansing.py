"""Cleansing: what was removed from a Milvus collection leaves Milvus's own files, as far as Milvus can be told to."""

import time

from index.milvus.server import LOOK_S, WRITE_S, Server

_ASK_EVERY_S = 1.0


class Cleansing:
    """Of one Milvus collection, by the searcher that writes it. A compaction writes segments anew without their dead.

    The files of the old segments Milvus removes itself, when its own garbage collection comes round (docs/milvus.md).
    """

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        self._wanted = -1
        self._job: tuple[int, int] | None = None
        """A compaction under way, and what was removed when it began."""
        self._asked_at = 0.0
        self.cleansed = -1
        """The last log entry up to which what was removed is in no segment."""

    @property
    def is_wanted(self) -> bool:
        """Whether anything is to leave that may be there still."""
        return self._wanted > self.cleansed

    def hasten(self, sequence: int) -> None:
        """Have what log entries up to *sequence* removed leave the segments."""
        self._wanted = max(self._wanted, sequence)

    def settle(self, sequence: int) -> bool:
        """Begin a compaction where one is wanted, or look how it goes. Whether it is worth calling again soon.

        Args:
            sequence: The last log entry that is in Milvus.

        Raises:
            IndexUnavailable: Milvus does not answer; it is tried again.
        """
        if self._job is None and self.is_wanted and sequence >= self._wanted:
            self._server.ask("flush", self._name, timeout=WRITE_S)
            self._job = self._server.ask("compact", self._name, timeout=WRITE_S), sequence
        if self._job is not None and time.monotonic() - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = time.monotonic()
            job, reached = self._job
            if self._server.ask("get_compaction_state", job, timeout=LOOK_S) == "Completed":
                self._job, self.cleansed = None, reached
        return self.is_wanted
