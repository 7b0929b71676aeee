"""Celery's side of ingestion, unpacking, rebuilds and the check of models."""

from celery.app.task import Task

from services.broker import names
from services.errors import Unavailable
from services.logs import logger
from workers import admission, ingestion, rebuilding, unpacking
from workers.rebuild import planning
from workers.tasks.process import app, here, models_folder, unbounded_memory

TIME_LIMIT_S = 40
"""A task that takes longer is killed with its child; the visibility timeout is above this."""

PLAN_LIMIT_S = 3600
"""Of the plan of a rebuild: the photo store is listed whole, a thousand objects at a time."""

CHECK_LIMIT_S = 900
"""Of the check of a model: minutes for one of a hundred layers, on one core."""


@app.task(
    name=names.INGEST,
    bind=True,
    acks_late=True,
    reject_on_worker_lost=True,
    ignore_result=True,
    time_limit=TIME_LIMIT_S,
)
def ingest(self: Task, item_ids: list[int]) -> None:
    """See :func:`workers.ingestion.ingest`. Parts that are away are the sweep's business: nothing is lost."""
    queue = (self.request.delivery_info or {}).get("routing_key") or names.BULK
    try:
        again = ingestion.ingest(item_ids, here().tools)
        here().queue.ingest_alone(again, queue)
    except Unavailable as error:
        logger().warning("photos.put_back", items=len(item_ids), reason=error.type)


@app.task(name=names.CHECK_MODEL, acks_late=False, ignore_result=True, time_limit=CHECK_LIMIT_S)
def check_model(model_id: int) -> None:
    """See :func:`workers.admission.admit`. Acknowledged at once: trying a large model takes longer than a message is waited for.

    Model files come from administrators and may be large, so the bound on memory, which is for photos, is off meanwhile.
    """
    try:
        with unbounded_memory():
            admission.admit(model_id, here().tools.catalog, here().tools.store.objects, models_folder())
    except Unavailable as error:
        logger().warning("model.not_checked", reason=error.type)


@app.task(name=names.UNPACK, acks_late=False, ignore_result=True, time_limit=3600)
def unpack(job_id: int) -> None:
    """See :func:`workers.unpacking.unpack`. Acknowledged at once: an archive may take longer than a message is waited for."""
    try:
        tools, asked = here().tools, here().privacy.require_basis
        unpacking.unpack(job_id, tools.catalog, tools.store, here().queue, here().limits, require_basis=asked)
    except Unavailable as error:
        logger().warning("archive.postponed", reason=error.type)


@app.task(name=names.REBUILD_PLAN, acks_late=False, ignore_result=True, time_limit=PLAN_LIMIT_S)
def plan_rebuild(rebuild_id: int) -> None:
    """See :func:`workers.rebuild.planning.plan`. Acknowledged at once: whoever conducts asks again while nobody plans it."""
    try:
        with unbounded_memory():
            is_begun = planning.plan(rebuild_id, here().tools)
        if is_begun:
            here().queue.conduct()
    except Unavailable as error:
        logger().warning("rebuild.not_planned", reason=error.type)


@app.task(
    name=names.REBUILD_CHUNK, acks_late=True, reject_on_worker_lost=True, ignore_result=True, time_limit=TIME_LIMIT_S
)
def rebuild_chunk(rebuild_id: int) -> None:
    """See :func:`workers.rebuilding.work`. The message goes on to the next chunk, and ends where there is none."""
    try:
        if rebuilding.work(rebuild_id, here().tools):
            here().queue.rebuild(rebuild_id)
        else:
            here().queue.conduct()
    except Unavailable as error:
        logger().warning("chunk.put_back", rebuild=rebuild_id, reason=error.type)
