"""Switching: from one generation of a collection to another, as soon as every process that answers is ready for it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog import generations, models
from services.catalog.rebuilding import carrying, rebuilds
from services.catalog.running import readiness
from services.catalog.schema import Collection, Model, Photo, now
from services.catalog.tables.rebuild import Rebuild
from services.catalog.telling import webhooks


def now_if_ready(session: Session, rebuild: Rebuild) -> bool:
    """Switch to what *rebuild* has made, or note whom that waits for. False: somebody is not ready yet.

    Args:
        session: A writing transaction that holds the rebuild's row.
        rebuild: It is ``switching``.

    Raises:
        Conflict: What it has made is not complete, or was dropped.
    """
    assert rebuild.generation_id is not None
    generation = generations.by_id(session, rebuild.generation_id)
    waiting_for = readiness.unready(session, generation)
    if waiting_for != rebuild.waiting_for:
        rebuild.waiting_for = waiting_for
        session.flush()
    if waiting_for:
        return False
    carrying.switch_to(session, generation)
    rebuild.state, rebuild.switched_at = "switched", session.scalar(select(now()))
    session.flush()
    webhooks.rebuild_moved(session, rebuild)
    return True


def towards(
    session: Session, collection: Collection, model: Model, parameters: Mapping[str, Any], *, by: str
) -> Rebuild | None:
    """Have a collection use *model*, its embedder or its detector from now on: at once where it has no photos, else by a rebuild.

    Args:
        session: A writing transaction.
        collection: Which.
        model: One that was tried, whose licence may be used.
        parameters: Of the rebuild, see :func:`rebuilds.create`.
        by: Name of the key that asks.

    Returns:
        The rebuild that was begun, or is under way already; None where none is needed.

    Raises:
        Conflict: A rebuild to something else is under way.
    """
    session.refresh(collection, with_for_update=True)
    is_embedder = model.kind == models.EMBEDDER
    used = collection.model_id if is_embedder else collection.detector_id
    if used == model.id or collection.model_id is None:
        return None
    embedder = model if is_embedder else models.by_id(session, collection.model_id)
    detector_id = collection.detector_id if is_embedder else model.id
    if session.scalar(select(Photo.id).where(Photo.collection_id == collection.id).limit(1)) is None:
        generations.first(session, collection, embedder.id, detector_id)
        return None
    under_way = rebuilds.current(session, collection.id)
    if under_way is not None and (under_way.model_id, under_way.detector_id) == (embedder.id, detector_id):
        return under_way
    return rebuilds.create(session, collection, embedder, detector_id, parameters, by=by)
