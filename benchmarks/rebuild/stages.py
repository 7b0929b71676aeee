"""What a face costs in a rebuild from chips, stage by stage: one worker on one core, without messages, on a copy of the catalog."""

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks import bare, machine
from benchmarks.machine import Row
from benchmarks.rebuild import gallery, opened
from benchmarks.rebuild.asked import Asked, Told
from benchmarks.rebuild.service import Rebuilding
from services.broker.waking import Waking
from services.catalog import collections, generations
from services.catalog.engine import Catalog
from services.catalog.rebuilding import chunks, rebuilds
from services.catalog.schema import Generation, Model
from services.catalog.tables.rebuild import Chunk
from services.local import valkey
from services.local.instance import Instance
from workers.ingestion import Tools
from workers.models.registry import Registry
from workers.rebuild import reembedding

STAGES = ("embed", "read and fetch", "decode and crop", "write")
_CHUNK = 64


@dataclass
class Clock:
    """CPU seconds by stage."""

    used_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _embedded_at: float = 0.0

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """*work*, counted."""

        def run(*given: object) -> Any:  # noqa: ANN401 - whatever *work* gives
            started = time.thread_time()
            try:
                return work(*given)
            finally:
                self.used_s[stage] += time.thread_time() - started

        return run

    def passed(self, moment: str) -> None:
        """Between the last vector and the commit it writes."""
        if moment == "embedded":
            self._embedded_at = time.thread_time()
        elif moment == "committed":
            self.used_s["write"] += time.thread_time() - self._embedded_at


def told(asked: Asked) -> Told:
    """The chips of the gallery, from the store of a service that has nothing else to do."""
    with gallery.served(asked, "stages") as service:
        clock, faces, total_s, wall_s = _worked(service, asked.folder)
    clock.used_s["read and fetch"] = total_s - sum(clock.used_s.values())
    case = "one worker on one core"
    rows = [Row(case, f"{stage}, CPU ms a face", 1000 * clock.used_s[stage] / faces) for stage in STAGES]
    rows += [
        Row(case, "all stages, CPU ms a face", 1000 * total_s / faces),
        Row(case, "share of embedding", clock.used_s["embed"] / total_s),
        Row(case, "faces/s", faces / wall_s),
    ]
    return Told(rows, [f"{faces} faces in chunks of {_CHUNK}; the photo store runs beside it"])


def _worked(service: Rebuilding, folder: Path) -> tuple[Clock, int, float, float]:
    """All chunks of a rebuild worked on by this process: CPU by stage, faces, CPU and wall seconds."""
    copy, clock, instance = folder / "stages.sqlite", Clock(), Instance.read(service.data)
    copy.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(service.data / "catalog" / "catalog.sqlite")) as rows,
        closing(sqlite3.connect(copy)) as target,
    ):
        rows.backup(target)
    catalog = Catalog(f"sqlite:///{copy}")
    store = opened.vault(service.data, catalog)
    models = Registry(catalog, store.objects, service.data / "models", max_pixels=bare.MAX_PIXELS)
    waking = Waking(valkey.url(instance.ports[valkey.PORT], instance.secret("broker_password")))
    tools = Tools(catalog, store, models, waking, passed=clock.passed)
    rebuild_id, generation, digest = _begun(catalog)
    embedder = models.embedder(digest)
    setattr(embedder, "embed", clock.timed("embed", embedder.embed))  # noqa: B010 - on the one object
    setattr(embedder, "crop", clock.timed("decode and crop", embedder.crop))  # noqa: B010
    allowed = os.sched_getaffinity(0)
    machine.pin()
    began_s, started = time.process_time(), time.perf_counter()
    while True:
        with catalog.transaction() as session:
            held = chunks.claim(session, rebuild_id, by=tools.name, lease_s=60)
        if held is None:
            break
        reembedding.reembed(held, generation, tools)
    total_s, wall_s = time.process_time() - began_s, time.perf_counter() - started
    os.sched_setaffinity(0, allowed)
    with catalog.reading() as session:
        faces = int(session.scalar(select(func.sum(Chunk.faces)).where(Chunk.rebuild_id == rebuild_id)) or 0)
    catalog.close()
    return clock, faces, total_s, wall_s


def _begun(catalog: Catalog) -> tuple[int, Generation, str]:
    """A rebuild that is to be worked on: its number, what it makes, and the digest of its model."""
    with catalog.transaction() as session:
        collection = collections.by_name(session, "default")
        model = session.scalars(select(Model).where(Model.name == gallery.NEW)).one()
        rebuild = rebuilds.create(session, collection, model, None, {}, by="benchmark")
        generation = generations.begin(session, collection.id, model.id, None, round_=collection.round)
        rebuild.state, rebuild.generation_id = "embedding", generation.id
        after: int | None = 0
        while after is not None:
            after = chunks.plan(session, rebuild, generation, chunks.CHIPS, size=_CHUNK, after=after)
        return rebuild.id, generation, model.digest
