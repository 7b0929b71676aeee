"""A Milvus server or cluster, as far as the index uses it: few calls, each bounded in time and size.

Every error of it comes out as :class:`services.errors.IndexUnavailable`. A connection is made when it is first needed and
again after Milvus was away; nothing is kept that would have to be made anew.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from index.protocol import Ids, Vectors
from services.errors import IndexUnavailable

MOST = 16_384
"""The most hits that one search, and rows that one page, can have (Milvus's own limit)."""

LOOK_S, WRITE_S = 5.0, 30.0
"""How long a call may take that reads, and one that changes. A lease outlasts a change."""

Kind = Literal["FLAT", "HNSW", "SCANN", "DISKANN"]
"""Milvus's index types: exact; a graph; inverted lists with refinement, scanned whole here; a graph on disk."""

KINDS: Mapping[Kind, Mapping[str, Any]] = {
    "FLAT": {},
    "HNSW": {"M": 32, "efConstruction": 400},
    "SCANN": {"nlist": 1024, "with_raw_data": True},
    "DISKANN": {},
}
"""What they are built with."""

_ROWS_AT_ONCE = 4096
"""Of up to 4 KB: a message stays far below the 64 MB that Milvus takes."""
_NOT_LOADED, _CANNOT_CONNECT = 101, 2
_AWAY_S = 1.0
_REASON = 200
_NOW: dict[str, Any] = {"consistency_level": "Strong", "timeout": LOOK_S}


class _NotLoaded(IndexUnavailable):
    """The collection is there and not in memory: Milvus was started again."""


class Server:
    """Collections of (id int64, tag int64, vector), searched by inner product. Any thread may call."""

    def __init__(self, uri: str, *, token: str = "", database: str = "", kind: Kind = "FLAT") -> None:
        self._uri, self._token, self._database = uri, token, database
        self._kind: Kind = kind
        self._client: MilvusClient | None = None
        self._lock = threading.Lock()
        self._away_until = 0.0
        self._keeps_half: bool | None = None
        self.trouble = ""
        """Why the last call failed; empty since one succeeded."""

    @property
    def keeps_half(self) -> bool:
        """Whether it keeps float16 vectors. Milvus does (since 2.4); milvus-lite keeps float32."""
        if self._keeps_half is None:
            self._keeps_half = "lite" not in str(self.ask("get_server_version", timeout=LOOK_S))
        return self._keeps_half

    def create(self, name: str, dimension: int) -> None:
        """Make the collection *name*, empty, searchable, read as of the moment of each question."""
        fields = [("id", DataType.INT64, {"is_primary": True}), ("tag", DataType.INT64, {})]
        vector = DataType.FLOAT16_VECTOR if self.keeps_half else DataType.FLOAT_VECTOR
        self.create_with(name, [*fields, ("vector", vector, {"dim": dimension})], self._kind)

    def create_with(self, name: str, fields: Sequence[tuple[str, DataType, Mapping[str, Any]]], kind: Kind) -> None:
        """Make the collection *name* of *fields*, one of them ``vector``; one that is there already stays as it is."""
        if not self.ask("has_collection", name, timeout=LOOK_S):
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
            for field, datatype, more in fields:
                schema.add_field(field, datatype, **more)
            self.ask("create_collection", name, schema=schema, consistency_level="Strong", timeout=WRITE_S)
        if not self.ask("list_indexes", name, timeout=LOOK_S):  # Who made the collection may have died here.
            index = MilvusClient.prepare_index_params()
            index.add_index("vector", metric_type="IP", index_type=kind, params=dict(KINDS[kind]))
            self.ask("create_index", name, index, timeout=WRITE_S, sync=False)
        self.ask("load_collection", name, timeout=WRITE_S)

    def names(self) -> list[str]:
        """The collections of the database."""
        return list(self.ask("list_collections", timeout=LOOK_S))

    def drop(self, name: str) -> None:
        """Remove a collection; one that is not there is fine."""
        self.ask("drop_collection", name, timeout=WRITE_S)

    def put(self, name: str, ids: Ids, tags: NDArray[np.int64], vectors: Vectors) -> None:
        """Write rows; they replace those of the same ids."""
        kept = vectors.astype(np.float16 if self.keeps_half else np.float32)
        rows = [
            {"id": face, "tag": tag, "vector": vector}
            for face, tag, vector in zip(ids.tolist(), tags.tolist(), kept, strict=True)
        ]
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            self.ask("upsert", name, rows[start : start + _ROWS_AT_ONCE], timeout=WRITE_S)

    def delete(self, name: str, ids: Ids) -> None:
        """Remove rows; ids that are not there are fine."""
        for start in range(0, len(ids), _ROWS_AT_ONCE):
            self.ask("delete", name, ids=ids[start : start + _ROWS_AT_ONCE].tolist(), timeout=WRITE_S)

    def vectors(self, name: str, ids: Ids, dimension: int) -> Vectors:
        """The vectors of *ids*, (n, d) float32; zeros for those that are not there."""
        found = np.zeros((len(ids), dimension), np.float32)
        places: dict[int, list[int]] = {}
        for place, number in enumerate(ids.tolist()):
            places.setdefault(number, []).append(place)
        distinct = list(places)
        for start in range(0, len(distinct), _ROWS_AT_ONCE):
            some = distinct[start : start + _ROWS_AT_ONCE]
            for row in self.ask("query", name, filter=in_(some), output_fields=["vector"], **_NOW):
                found[places[row["id"]]] = _decoded(row["vector"])
        return found

    def nearest(self, name: str, queries: Vectors, limit: int, among: Sequence[int] | None) -> list[Ids]:
        """The ids of at most *limit* rows nearest to each query, by Milvus's own reckoning."""
        data = list(queries.astype(np.float16) if self.keeps_half else queries)
        found = self.ask(
            "search",
            name,
            data=data,
            limit=limit,
            filter="" if among is None else in_(among),
            output_fields=["id"],
            search_params={"params": _searched(self._kind, limit)},
            **_NOW,
        )
        return [np.array([hit["id"] for hit in hits], np.int64) for hits in found]

    def count(self, name: str) -> int:
        """How many rows a collection has."""
        return int(self.ask("query", name, filter="", output_fields=["count(*)"], **_NOW)[0]["count(*)"])

    def tags(self, name: str) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
        """All ids and their tags, in pages."""
        pages = self.ask("query_iterator", name, batch_size=MOST // 2, output_fields=["id", "tag"], **_NOW)
        try:
            while page := self._guarded(pages.next):
                yield np.array([row["id"] for row in page], np.int64), np.array([row["tag"] for row in page], np.int64)
        finally:
            self._guarded(pages.close)

    def ask(self, call: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - pymilvus has no types.
        """Call a method of pymilvus's client. A collection that Milvus has let go of is loaded again.

        Raises:
            IndexUnavailable: Milvus does not answer, or refuses.
        """

        def do() -> Any:  # noqa: ANN401
            return getattr(self._connected(), call)(*arguments, **named)

        try:
            return self._guarded(do)
        except _NotLoaded:
            self._guarded(lambda: self._connected().load_collection(arguments[0], timeout=WRITE_S))
            return self._guarded(do)

    def close(self) -> None:
        """End the connection; a later call makes a new one."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _guarded(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        """The outcome of a call. Where nobody answered, others fail at once for a moment: there may be hundreds."""
        if time.monotonic() < self._away_until:
            raise IndexUnavailable(self.trouble)
        try:
            outcome = call()
        except (MilvusException, grpc.RpcError) as error:
            code = getattr(error, "code", None)
            reason = " ".join(str(getattr(error, "message", "it did not answer in time")).split())[:_REASON]
            told = f"Milvus at {self._uri} could not do what the index needs: {reason}"
            if code == _NOT_LOADED:
                raise _NotLoaded(told) from error
            self.trouble = told
            if code == _CANNOT_CONNECT or not isinstance(code, int):  # Of gRPC, not of Milvus.
                self._away_until = time.monotonic() + _AWAY_S
            raise IndexUnavailable(told) from error
        self.trouble = ""
        return outcome

    def _connected(self) -> MilvusClient:
        with self._lock:
            if self._client is None:
                # pymilvus logs each failed call with a traceback; the error that is raised says it once.
                logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
                self._client = MilvusClient(
                    self._uri, token=self._token, db_name=self._database, timeout=LOOK_S, dedicated=True
                )
            return self._client


def _searched(kind: Kind, limit: int) -> dict[str, int]:
    """What an index type takes at a search: how many candidates it looks at."""
    wide = max(512, min(4 * limit, 32_768))
    return {"HNSW": {"ef": wide}, "DISKANN": {"search_list": wide}, "SCANN": {"nprobe": 1024, "reorder_k": wide}}.get(
        kind, {}
    )


def in_(ids: Sequence[int]) -> str:
    """The expression that holds for these ids. Spelt out: milvus-lite knows no templates."""
    return f"id in [{','.join(map(str, ids))}]"


def _decoded(held: Any) -> Vectors:  # noqa: ANN401
    """A vector as pymilvus hands it over: floats, or the bytes of float16, these alone or in a list."""
    if isinstance(held, list) and held and isinstance(held[0], bytes):
        held = held[0]
    if isinstance(held, bytes):
        return np.frombuffer(held, "<f2").astype(np.float32)
    return np.asarray(held, np.float32)
