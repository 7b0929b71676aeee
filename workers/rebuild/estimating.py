"""What a rebuild takes: time as measured here on a few faces or photos, memory and disk as what is there takes them."""

import shutil
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog import models
from services.catalog.engine import Catalog
from services.catalog.rebuilding import carrying
from services.catalog.running import processes
from services.catalog.schema import Collection, Photo
from services.errors import PhotoRefused
from services.vault import Vault
from workers.faces.detect import Mode
from workers.ingestion import Tools
from workers.rebuild import reembedding

TIMED_FACES, TIMED_PHOTOS = 16, 3

CHIP_BYTES = 20_000
"""A stored chip: 18,500 on the mean of 40 faces of LFW, as JPEG of quality 95."""
ROW_BYTES = 900
"""A face's row in the catalog with its share of the indices."""
VECTOR_ROW_BYTES = 80
"""What an embedding takes beside its numbers."""


def chip_s(collection: Collection, model: str, tools: Tools) -> float | None:
    """Seconds that one face takes here, from its stored chip; None where there is none to try."""
    with tools.catalog.reading() as session:
        some = carrying.some(session, collection, TIMED_FACES + 1)
    tools.models.embedder(model)
    reembedding.of_stored(some[:1], model, tools, restore=False)  # What is done once is not counted.
    started = time.perf_counter()
    made = reembedding.of_stored(some[1:], model, tools, restore=False)
    return (time.perf_counter() - started) / len(made.vectors) if made.vectors else None


def photo_s(collection: Collection, model: str, detector: str | None, tools: Tools) -> float | None:
    """Seconds that one photo takes here; None where there is none to try."""
    with tools.catalog.reading() as session:
        mine = select(Photo.object_key).where(Photo.collection_id == collection.id, Photo.state == "done")
        wanted_keys = session.scalars(mine.order_by(Photo.id).limit(TIMED_PHOTOS + 1)).all()
    photos = [data for data in tools.store.get_many(wanted_keys) if data is not None]
    pipeline = tools.models.pipeline(model, detector)
    pipeline.read_all(photos[:1], Mode.BALANCED)
    started = time.perf_counter()
    for reading in pipeline.read_all(photos[1:], Mode.BALANCED):
        if not isinstance(reading, PhotoRefused) and reading.detections:
            pipeline.embed([reading.face(0).chip])
    return (time.perf_counter() - started) / len(photos[1:]) if photos[1:] else None


def memory_bytes(session: Session, collection: Collection, dimension: int, faces: int) -> int:
    """What a searcher needs for the second replica: as the one it has says of itself, else two bytes a number."""
    of_its_own = [
        replica["memory_mb"] * 2**20
        for process in processes.running(session)
        if process.kind == "searcher"
        for replica in process.details.get("replicas", [])
        if replica["generation"] == collection.generation_id
    ]
    now_used = models.by_id(session, collection.model_id or 0).dimension or dimension
    if of_its_own and now_used:
        return int(max(of_its_own) * dimension / now_used)
    return faces * 2 * dimension


def catalog_disk(catalog: Catalog) -> int | None:
    """What is free where SQLite keeps the catalog; None: it is on a server of its own."""
    return shutil.disk_usage(Path(catalog.url.database or ".").parent).free if catalog.is_sqlite else None


def store_disk(store: Vault) -> int | None:
    """What is free where a store on this machine keeps its files; None: it is elsewhere."""
    return None if store.folder is None or not store.folder.is_dir() else shutil.disk_usage(store.folder).free
