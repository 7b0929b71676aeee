"""Chunks as the catalog saw them end, and the rate of the workers that did them."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import text

from services.catalog.engine import Catalog

_OF_JOB = text(
    "SELECT claimed_by, count(*) AS photos, max(finished_at) AS ended_at FROM job_items"
    " WHERE job_id = :job AND state IN ('done', 'rejected') AND claimed_by IS NOT NULL"
    " GROUP BY claimed_by, sequence ORDER BY ended_at"
)
_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")


class Chunk(NamedTuple):
    """Photos of one message that ended together."""

    worker: str
    photos: int
    ended_at: float
    """By the catalog's clock."""


def of_job(catalog: Catalog, job: int, since: float = 0.0, until: float = float("inf")) -> list[Chunk]:
    """Those that ended between the two times, in order."""
    with catalog.reading() as session:
        found = [Chunk(*row) for row in session.execute(_OF_JOB, {"job": job})]
    return [chunk for chunk in found if since <= chunk.ended_at <= until]


def now(catalog: Catalog) -> float:
    """The time by the catalog's clock."""
    with catalog.reading() as session:
        return float(session.scalar(_NOW) or 0.0)


def rate(chunks: Sequence[Chunk], workers: int) -> float:
    """Photos a second: each worker's from the end of its first chunk to the end of its last, summed up.

    So the uploads before the first and the parts of chunks at both ends are not counted.

    Raises:
        SystemExit: Not so many workers did two chunks.
    """
    by_worker = _by_worker(chunks)
    did = [mine for mine in by_worker.values() if len(mine) > 1]
    if len(did) != workers:
        raise SystemExit(f"{len(did)} of {workers} workers did two chunks; there were {len(chunks)} in all.")
    return sum(sum(chunk.photos for chunk in mine[1:]) / (mine[-1].ended_at - mine[0].ended_at) for mine in did)


def between(chunks: Sequence[Chunk]) -> list[float]:
    """Seconds from the end of a worker's chunk to the end of its next."""
    return [late.ended_at - early.ended_at for mine in _by_worker(chunks).values() for early, late in pairwise(mine)]


def _by_worker(chunks: Sequence[Chunk]) -> dict[str, list[Chunk]]:
    by_worker: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        by_worker[chunk.worker].append(chunk)
    return by_worker
