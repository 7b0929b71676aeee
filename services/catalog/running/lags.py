"""Lags: how far replicas are behind the log, as their searchers told a few seconds ago, held against the log now."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.catalog import log
from services.catalog.schema import LogEntry, now
from services.catalog.tables.process import Process

_MOST_TIMED = 50
_NOTHING_S = 0.0


class Lag(NamedTuple):
    """One replica of one searcher."""

    process: str
    collection: int
    generation: int
    entries: int
    seconds: float
    """Age of the first entry that it has not applied; 0 where there is none, or it was not looked for."""
    is_loading: bool


def of_replicas(session: Session, found: Sequence[Process]) -> list[Lag]:
    """Of all replicas of *found*. Of those behind, the fifty that are furthest are timed."""
    heads = log.heads(session)
    lags = [
        Lag(p.id, r["collection"], r["generation"], max(head[1] - r["sequence"], 0), _NOTHING_S, bool(r["reloading"]))
        for p in found
        for r in p.details.get("replicas", [])
        if (head := heads.get(r["collection"])) is not None and head[0] == r.get("epoch", head[0])
    ]
    lags.sort(key=lambda lag: -lag.entries)
    timed = [lag._replace(seconds=_age_s(session, lag, heads)) for lag in lags[:_MOST_TIMED] if lag.entries]
    return [*timed, *lags[len(timed) :]]


def _age_s(session: Session, lag: Lag, heads: dict[int, tuple[str, int]]) -> float:
    next_one = heads[lag.collection][1] - lag.entries + 1
    wanted = select(now() - LogEntry.created_at).where(
        LogEntry.collection_id == lag.collection, LogEntry.sequence == next_one
    )
    return max(session.scalar(wanted) or 0.0, 0.0)
