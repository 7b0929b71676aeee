"""Marks: how far each collection has come in Milvus, kept there, in a small collection of their own.

A mark is written after everything that it speaks of. Whoever has read it finds at least that much, because Milvus is
asked for what is true at the moment of the question.
"""

import threading
import time
from dataclasses import dataclass

from pymilvus import DataType

from index.milvus.server import LOOK_S, WRITE_S, Server
from services.errors import IndexUnavailable

NAME = "colega_editions"


@dataclass(frozen=True, slots=True)
class Mark:
    """What is there of one collection in one generation."""

    epoch: str
    edition: str
    """Of the two Milvus collections; another one each time that they are filled from rows."""
    sequence: int
    """The last log entry that is in them, whole."""


class Marks:
    """All marks of the database, by ``COLLECTION_gGENERATION``. Any thread may ask.

    Args:
        server: Where they are.
        fresh_s: For so long one reading serves: all replicas are moved at the same time.
    """

    def __init__(self, server: Server, *, fresh_s: float = 0.02) -> None:
        self._server = server
        self._fresh_s = fresh_s
        self._read_at = float("-inf")
        self._is_there = False
        self._marks: dict[str, Mark] = {}
        self._lock = threading.RLock()
        self.filling: set[str] = set()
        """Editions that this process fills at the moment."""

    def of(self, key: str) -> Mark | None:
        """The mark of one collection in one generation; None where nothing is whole yet.

        Raises:
            IndexUnavailable: Milvus does not answer.
        """
        with self._lock:
            if time.monotonic() - self._read_at > self._fresh_s:
                self._read()
            return self._marks.get(key)

    def write(self, key: str, mark: Mark) -> None:
        """Say how far a collection has come.

        Raises:
            IndexUnavailable: Milvus does not answer; the old mark stands.
        """
        row = {"key": key, "epoch": mark.epoch, "edition": mark.edition, "sequence": mark.sequence}
        with self._lock:
            self._ensure()
            self._server.ask("upsert", NAME, [row | {"vector": [1.0, 0.0]}], timeout=WRITE_S)
            self._marks[key] = mark

    def drop(self, key: str) -> None:
        """Forget a collection."""
        with self._lock:
            self._ensure()
            self._server.ask("delete", NAME, ids=[key], timeout=WRITE_S)
            self._marks.pop(key, None)

    def _read(self) -> None:
        try:
            self._ensure()
            rows = self._server.ask(
                "query",
                NAME,
                filter="sequence >= 0",
                output_fields=["key", "epoch", "edition", "sequence"],
                consistency_level="Strong",
                timeout=LOOK_S,
            )
        except IndexUnavailable:
            self._is_there = False  # It may come back as another one, with nothing in it.
            raise
        self._marks = {row["key"]: Mark(row["epoch"], row["edition"], int(row["sequence"])) for row in rows}
        self._read_at = time.monotonic()

    def _ensure(self) -> None:
        if self._is_there:
            return
        text = {"max_length": 128}
        fields = [
            ("key", DataType.VARCHAR, {"is_primary": True, **text}),
            ("epoch", DataType.VARCHAR, text),
            ("edition", DataType.VARCHAR, text),
            ("sequence", DataType.INT64, {}),
            ("vector", DataType.FLOAT_VECTOR, {"dim": 2}),  # No collection of Milvus is without one.
        ]
        self._server.create_with(NAME, fields, "FLAT")
        self._is_there = True
