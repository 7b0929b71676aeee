"""Being idle: the share of a core that a thousand followed collections of a hundred faces take when nothing happens."""

import logging
import time

import numpy as np
import structlog

from benchmarks.index.asked import Asked, Told
from benchmarks.index.catalogs import enrol_many
from benchmarks.index.engines import folder_in
from benchmarks.index.galleries import gallery
from benchmarks.index.memory import resident
from benchmarks.machine import Row
from index.engine.home import EngineHome
from index.engine.looking import Helper
from index.engine.sealing import SealingHere
from services.catalog.engine import Catalog
from services.settings.service import IndexSettings
from workers.serving.following import CatalogLog
from workers.serving.replicas import Keeping, Replicas

_FACES = 100


def told(asked: Asked) -> Told:
    """Load them all, then follow as the searcher does, polling at its default interval."""
    count, seconds = (20, 5.0) if asked.quick else (1000, 60.0)
    held = gallery(asked.folder, asked.sizes[0])
    settings = IndexSettings()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with folder_in(asked.folder) as folder:
        catalog = Catalog(f"sqlite:///{folder}/catalog.sqlite")
        keys = enrol_many(catalog, np.asarray(held.vectors[:_FACES]), count)
        sealer, helper = SealingHere(), Helper()
        log = CatalogLog(catalog)
        replicas = Replicas(
            log,
            lambda c, m: EngineHome(512, folder / f"{c}-{m}", sealer, helper=helper),
            Keeping(
                settings.index_memory_mb,
                settings.index_snapshot_s,
                settings.index_snapshot_faces,
                pinned=lambda: set(keys),
            ),
        )
        before, cpu, wall = resident(), time.process_time(), time.perf_counter()
        while any(replicas.get(*key) is None for key in keys):
            replicas.follow(log.heads())
            time.sleep(0.02)
        loading_cpu, loading_wall = time.process_time() - cpu, time.perf_counter() - wall
        more = resident() - before
        for _ in range(20):
            replicas.follow(log.heads())
        cpu, wall, turns = time.process_time(), time.perf_counter(), 0
        while time.perf_counter() - wall < seconds:
            replicas.follow(log.heads())
            time.sleep(settings.index_poll_s)
            turns += 1
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        replicas.close()
        catalog.close()
    case = f"{count:,} collections of {_FACES} faces"
    return Told(
        [
            Row(case, "share of a core when idle, %", 100 * share),
            Row(case, "CPU ms a turn", 1000 * share * seconds / turns),
            Row(case, "loading all, CPU s", loading_cpu),
            Row(case, "loading all, wall s", loading_wall),
            Row(case, "memory of its own, MB", more.own_mb),
        ],
        [f"SQLite; the heads are read and every replica looked at each {settings.index_poll_s:g} s, for {seconds:g} s"],
    )
