"""Freeing: the rows of generations that were dropped go, some at a time, while searches and imports go on."""

import time

from services.catalog.engine import Catalog
from services.catalog.rebuilding import dropped
from services.catalog.schema import Generation
from services.logs import logger

HELD_FOR_S = 0.05
"""How long one transaction is to take: it removes as many faces as fit into that, within bounds."""
_MOST = 2000


def free(catalog: Catalog, *, for_s: float, dropped_for_s: float, fewest: int = 50) -> bool:
    """Remove what is left of dropped generations: embeddings, faces, calibrations, and at last they themselves.

    Killed half-way and run again it ends the same. Between two transactions it leaves the catalog to others for as long as the
    last one took.

    Args:
        catalog: Where.
        for_s: How long it may take, in seconds; it ends a transaction later at most.
        dropped_for_s: How long ago a generation must have been dropped, in seconds: longer than a search may take.
        fewest: Faces that a transaction sees to at the least.

    Returns:
        Whether nothing is left that may be removed yet.
    """
    ends = time.monotonic() + for_s
    while True:
        with catalog.reading() as session:
            generation = dropped.oldest(session, for_s=dropped_for_s)
        if generation is None:
            return True
        if not _rows(catalog, generation, ends, fewest):
            return False
        with catalog.transaction() as session:
            if not dropped.forget(session, generation):
                return False  # Somebody was writing to a face: next time.
        logger().info("generation.freed", collection=generation.collection_id, generation=generation.id)


def _rows(catalog: Catalog, generation: Generation, ends: float, fewest: int) -> bool:
    """Remove the rows of one generation. False: the time is over."""
    last, at_once = 0, fewest
    while True:
        with catalog.reading() as session:
            found = dropped.faces(session, generation, after=last, limit=at_once)
        if not found:
            return True
        began = time.monotonic()
        with catalog.transaction() as session:
            dropped.remove(session, generation, found)
        last, took_s = found[-1], time.monotonic() - began
        if took_s < HELD_FOR_S / 2:
            at_once = min(2 * at_once, _MOST)
        elif took_s > HELD_FOR_S:
            at_once = max(at_once // 2, fewest)
        if time.monotonic() > ends:
            return False
        time.sleep(took_s)
