"""The embedder alone: decoded chips from memory, a process a core. What a rebuild from chips can at best be as fast as."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.rebuild import opened
from benchmarks.rebuild.service import Rebuilding
from services.catalog.engine import Catalog
from workers.faces.embed import Crops
from workers.faces.values import Chip
from workers.models.bundle import Bundle

_AT_ONCE = 64
"""Faces that are handed over together."""


def bundle_in(data: Path, name: str) -> Bundle:
    """The bundle of that name among a service's models.

    Raises:
        SystemExit: No worker has had it open here.
    """
    for description in (data / "models").glob("*/model.json"):
        opened = Bundle.open(description.parent)
        if opened.name == name:
            return opened
    raise SystemExit(f"{data} has no model {name}.")


def crops_of(service: Rebuilding, bundle: Bundle) -> Crops:
    """What the model sees of every stored chip of the service, (n, side, side, 3) uint8."""
    catalog = Catalog(f"sqlite:///{service.data / 'catalog' / 'catalog.sqlite'}")
    store = opened.vault(service.data, catalog)
    keys = [key for (key,) in service.catalog().all("SELECT chip_key FROM faces WHERE chip_key IS NOT NULL")]
    stored = store.get_many(keys)
    identity, nowhere = np.eye(2, 3), np.zeros((5, 2), np.float32)
    return np.stack([bundle.crop.cut(Chip(jpeg, identity, nowhere)) for jpeg in stored if jpeg is not None])


def faces_a_second(bundle: Bundle, crops: Crops, *, processes: int, times: int = 1) -> float:
    """Faces a second of the model over *crops*, dealt to that many processes, each warmed up first."""
    context = multiprocessing.get_context("spawn")
    ready, go = context.Barrier(processes + 1), context.Event()
    shares = [np.ascontiguousarray(crops[n::processes]) for n in range(processes)]
    workers = [context.Process(target=_share, args=(bundle.directory, share, times, ready, go)) for share in shares]
    for worker in workers:
        worker.start()
    ready.wait()
    started = time.perf_counter()
    go.set()
    for worker in workers:
        worker.join()
    return times * len(crops) / (time.perf_counter() - started)


def _share(directory: Path, crops: Crops, times: int, ready: object, go: object) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    embedder = Bundle.open(directory).embedder("auto")
    embedder.embed(crops[:_AT_ONCE])
    ready.wait()  # type: ignore[attr-defined]
    go.wait()  # type: ignore[attr-defined]
    batches: Sequence[Crops] = [crops[start : start + _AT_ONCE] for start in range(0, len(crops), _AT_ONCE)]
    for _ in range(times):
        for batch in batches:
            embedder.embed(batch)
