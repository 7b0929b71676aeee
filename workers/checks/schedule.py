"""Scheduled checks: each collection in its turn, one at a time over all of them."""

from services.broker.send import Queue
from services.catalog import checks, computations
from services.catalog.engine import Catalog
from services.errors import BrokerUnavailable
from services.logs import logger


def begin_due(catalog: Catalog, queue: Queue, *, every_h: float, sample: int) -> str | None:
    """Have the collection checked that has waited longest, where one has waited for *every_h* and no check is under way.

    Args:
        catalog: Whose collections.
        queue: The way to the training worker; where it is away, the sweep sends the job.
        every_h: 0: nothing is scheduled.
        sample: Photos read and faces embedded anew.

    Returns:
        The public id of the job, if one was begun.

    Raises:
        CatalogUnavailable: The catalog is away.
    """
    if every_h <= 0:
        return None
    with catalog.transaction() as session:
        collection = checks.due(session, every_h * 3600.0)
        if collection is None:
            return None
        checks.forget_old(session)
        parameters = {"objects": True, "checksums": sample, "embeddings": sample, "repair": False}
        job = computations.create(session, collection.id, computations.CHECK, parameters, source=checks.SCHEDULED)
    logger().info("check.scheduled", job=job.public_id, collection=collection.id)
    try:
        queue.compute(job.id)
    except BrokerUnavailable:
        logger().warning("computation.not_sent", job=job.id)
    return job.public_id
