"""Starting with a gallery: from the catalog's rows, from a snapshot here, from a snapshot on the shelf (a folder).

Each start is that of a process of its own, which knows nothing yet. CPU is that process's; the database's is not counted.
"""

import multiprocessing
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.catalogs import Enrolled, enrol
from benchmarks.index.engines import folder_in
from benchmarks.index.galleries import Gallery, gallery
from benchmarks.index.memory import Memory, resident
from benchmarks.machine import Row
from index import ranking
from index.engine.home import EngineHome
from index.engine.sealing import SealingHere
from index.follower import Follower
from index.frozen import freeze
from index.protocol import Vectors
from services.catalog.engine import Catalog
from services.catalog.migrate import migrate
from tests.postgres import Postgres
from tests.unit.index.arrays import FolderShelf
from workers.serving.following import CatalogLog
from workers.serving.memory import give_back


@dataclass(frozen=True, slots=True)
class Start:
    """What one start took until every person could be found, and until everything was as fast as it gets."""

    origin: str
    cpu_s: float
    wall_s: float
    settled_cpu_s: float
    memory: Memory
    """More than before, after some queries."""
    hot_mb: float
    """By the replica's own account."""


def told(asked: Asked) -> Told:
    """The large gallery, on both databases."""
    held = gallery(asked.folder, asked.sizes[-1])
    case, rows = faces(len(held)), list[Row]()
    with folder_in(asked.folder) as scratch:
        shelf = scratch / "shelf"
        with _sqlite(asked.folder, scratch, held) as (url, at):
            rows += _rows(f"{case}, SQLite rows", _start(url, at, scratch / "home", shelf, held, write=True))
            rows += _rows(f"{case}, snapshot here", _start(url, at, scratch / "home", shelf, held))
            shutil.rmtree(scratch / "home")
            rows += _rows(f"{case}, snapshot on the shelf", _start(url, at, scratch / "home", shelf, held))
        shutil.rmtree(scratch / "home")
        shutil.rmtree(shelf)
        with _postgres(held) as (url, at):
            rows += _rows(f"{case}, PostgreSQL rows", _start(url, at, scratch / "home", shelf, held))
    return Told(rows, ["memory is counted after 200 queries for the ten nearest persons; vectors are mapped"])


def _rows(case: str, start: Start) -> list[Row]:
    return [
        Row(case, "start, CPU s", start.cpu_s),
        Row(case, "start, wall s", start.wall_s),
        Row(case, "codes made afterwards, CPU s", start.settled_cpu_s),
        Row(case, "memory of its own, MB", start.memory.own_mb),
        Row(case, "mapped files resident, MB", start.memory.mapped_mb),
        Row(case, "hot bytes by its own account, MB", start.hot_mb),
    ]


def _start(url: str, at: Enrolled, home: Path, shelf: Path, held: Gallery, *, write: bool = False) -> Start:
    """Start in a new process; with *write* it leaves a snapshot in its home and on the shelf."""
    shelf.mkdir(exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        start: Start = pool.apply(_started, (url, at, home, shelf, held.queries[:200], write))
    assert start.origin == ("rows" if write or url.startswith("postgresql") else "snapshot")
    return start


def _started(url: str, at: Enrolled, home: Path, shelf: Path, queries: Vectors, write: bool) -> Start:
    catalog = Catalog(url)
    log = CatalogLog(catalog)
    log.heads()  # Connected, as a searcher is.
    place = EngineHome(512, home, SealingHere(), shelf=FolderShelf(shelf))
    follower = Follower(log, at.collection, at.generation, place)
    before, cpu, wall = resident(), time.process_time(), time.perf_counter()
    replica = follower.start()
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    assert replica is not None
    while replica.settle():
        pass
    settled = time.process_time() - cpu - cpu_s
    give_back()  # As a searcher does.
    for query in queries:
        ranking.rank(replica, query[None], 10)
    start = Start(follower.origin, cpu_s, wall_s, settled, resident() - before, replica.hot_bytes / 2**20)
    if write:
        place.snapshots.upload(place.snapshots.write(freeze(replica)))
    return start


@contextmanager
def _sqlite(kept: Path, scratch: Path, held: Gallery) -> Iterator[tuple[str, Enrolled]]:
    """The gallery in SQLite; the file is kept for the next time, as it is after a checkpoint."""
    file = kept / f"catalog-{len(held)}.sqlite"
    if not file.exists():
        catalog = Catalog(f"sqlite:///{scratch}/catalog.sqlite")
        enrol(catalog, held)
        catalog.close()
        with sqlite3.connect(scratch / "catalog.sqlite") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        (scratch / "catalog.sqlite").replace(file)
    catalog = Catalog(f"sqlite:///{file}")
    migrate(catalog)
    catalog.close()
    yield f"sqlite:///{file}", Enrolled(1, 1, 1)


@contextmanager
def _postgres(held: Gallery) -> Iterator[tuple[str, Enrolled]]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder), shared_buffers="1GB", max_wal_size="8GB")
        try:
            url = server.new_database()
            catalog = Catalog(url)
            at = enrol(catalog, held)
            with catalog.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
            catalog.close()
            yield url, at
        finally:
            server.end()
