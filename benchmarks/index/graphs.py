"""Graph indexes beside ours: hnswlib and usearch in processes of their own, pgvector in a PostgreSQL of its own."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psycopg

from benchmarks.index.timing import Spent
from index.protocol import Half, Vectors
from tests.postgres import Postgres

_SCRIPTS = Path(__file__).resolve().parents[1] / "peers"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query took, and the rows that were found, best first."""

    cpu_ms: float
    wall_ms: float
    rows: list[int]


class Graph(Protocol):
    """An HNSW index of a peer, over the living faces."""

    versions: str
    most_ef: int
    """The largest effort of a search that it takes."""

    def build(self, links: int, effort: int) -> Spent:
        """Build it anew with so many links a node (M) and such an effort (ef of construction)."""

    def query(self, n: int, k: int, ef: int) -> Answer:
        """Query number *n*, in one thread."""


class InProcess:
    """A :class:`Graph` of one of the scripts in ``benchmarks/peers``."""

    most_ef = 8000

    def __init__(self, python: Path, script: str, vectors: Path, queries: Path) -> None:
        self._process = subprocess.Popen(
            [str(python), str(_SCRIPTS / script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._files = {"vectors": str(vectors), "queries": str(queries)}
        self.versions = ", ".join(f"{name} {version}" for name, version in self._answer().items())

    def build(self, links: int, effort: int) -> Spent:
        """See :class:`Graph`."""
        threads = len(os.sched_getaffinity(0))
        told = self._ask({"do": "build", **self._files, "links": links, "effort": effort, "threads": threads})
        return Spent(told["cpu_s"], told["wall_s"])

    def query(self, n: int, k: int, ef: int) -> Answer:
        """See :class:`Graph`."""
        return Answer(**self._ask({"do": "query", "query": n, "k": k, "ef": ef}))

    def end(self) -> None:
        """Let the process end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"The peer ended with {self._process.wait()}.")
        told: dict[str, Any] = json.loads(line)
        return told


class PgVector:
    """A :class:`Graph` of pgvector, ``halfvec``, in one backend. Its CPU time is the server's; the client's is left out."""

    most_ef = 1000

    def __init__(self, url: str, vectors: Half, queries: Vectors) -> None:
        self._connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self._queries = ["[" + ",".join(map(repr, query.tolist())) + "]" for query in queries]
        self._do("CREATE EXTENSION vector")
        self._do(f"CREATE TABLE faces (id int PRIMARY KEY, vector halfvec({vectors.shape[1]}) NOT NULL)")
        with self._connection.cursor().copy("COPY faces FROM STDIN") as copy:
            for n, vector in enumerate(vectors):
                copy.write_row((n, "[" + ",".join(map(str, vector.tolist())) + "]"))
        self._do("VACUUM ANALYZE faces")
        self._do("SET maintenance_work_mem = '4GB'")
        self._do("SET max_parallel_workers_per_gather = 0")
        self._do("SET enable_seqscan = off")
        self._do("SET jit = off")
        self.versions = "pgvector " + self._one("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        self._backend = int(self._one("SELECT pg_backend_pid()"))

    def build(self, links: int, effort: int) -> Spent:
        """See :class:`Graph`."""
        self._do("DROP INDEX IF EXISTS nearest")
        cpu, wall = self._all_cpu_s(), time.perf_counter()
        options = f"m = {links}, ef_construction = {effort}"
        self._do(f"CREATE INDEX nearest ON faces USING hnsw (vector halfvec_ip_ops) WITH ({options})")
        return Spent(self._all_cpu_s() - cpu, time.perf_counter() - wall)

    def query(self, n: int, k: int, ef: int) -> Answer:
        """See :class:`Graph`."""
        self._do(f"SET hnsw.ef_search = {ef}")
        sql = "SELECT id FROM faces ORDER BY vector <#> %s::halfvec LIMIT %s"
        cpu, wall = self._ran_ms(), time.perf_counter()
        rows = self._connection.execute(sql, (self._queries[n], k), prepare=True).fetchall()
        wall_ms = 1000 * (time.perf_counter() - wall)
        return Answer(self._ran_ms() - cpu, wall_ms, [row[0] for row in rows])

    def end(self) -> None:
        """Disconnect."""
        self._connection.close()

    def _do(self, sql: str) -> None:
        self._connection.execute(sql.encode())

    def _one(self, sql: str) -> str:
        row = self._connection.execute(sql.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def _ran_ms(self) -> float:
        """CPU time of the backend, to the nanosecond."""
        return int(Path(f"/proc/{self._backend}/schedstat").read_text("utf-8").split()[0]) / 1e6

    def _all_cpu_s(self) -> float:
        """CPU time of the backend, and of the helpers that the server has seen end."""
        parent = int(Path(f"/proc/{self._backend}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
        ended = Path(f"/proc/{parent}/stat").read_text("utf-8").rpartition(")")[2].split()[13:15]
        return self._ran_ms() / 1000 + sum(map(int, ended)) / _TICKS


@contextmanager
def graph_of(
    name: str, python: Path | None, vectors: Half, queries: Vectors, folder: Path
) -> Iterator[InProcess | PgVector]:
    """The peer of that name over *vectors*, as rows from 0."""
    if name == "pgvector":
        with tempfile.TemporaryDirectory() as scratch:
            Path(scratch).chmod(0o755)
            server = Postgres(Path(scratch), shared_buffers="2GB", max_wal_size="8GB")
            try:
                graph = PgVector(server.new_database(), vectors, queries)
                yield graph
                graph.end()
            finally:
                server.end()
        return
    assert python is not None
    np.save(folder / "vectors.npy", vectors)
    np.save(folder / "queries.npy", queries)
    peer = InProcess(python, f"{name}_graph.py", folder / "vectors.npy", folder / "queries.npy")
    try:
        yield peer
    finally:
        peer.end()
