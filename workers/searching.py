"""Searching: vectors in, ranked persons out, from the replica of exactly the generation that was asked for."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from index import ranking
from index.replica import Replica
from services import tracing
from services.broker.requests import Ask, Query
from services.errors import ColegaError, IndexBehind, Unavailable
from services.logs import logger
from services.tracing import TRACEPARENT
from services.trail import REQUEST
from workers.models.heads import Head
from workers.serving.replicas import Replicas
from workers.serving.vectors import Vectors, vectors_of

_LAST_MOMENT_S = 0.02

Outcome = tuple[Query, dict[str, Any] | ColegaError | None]
"""How a query ended: its answer, what went wrong, or None: not yet."""


def answers(queries: Sequence[Query], replicas: Replicas) -> Iterator[Outcome]:
    """Answer *queries*, those that arrived together and look in the same way as one batch.

    A query whose replica is not here, or not far enough, comes back with None until its deadline is near.
    """
    batches: dict[tuple[Any, ...], list[Query]] = {}
    for query in queries:
        search = query.ask.search
        assert search is not None
        where = tuple(sorted(search.where.items())) if search.where else None
        head = None if search.head is None else (search.head["weights"], search.head["bias"])
        batches.setdefault((search.collection, search.generation, search.k, search.person, where, head), []).append(
            query
        )
    for batch in batches.values():
        yield from _batch(batch, replicas)


def tell(query: Query, outcome: Mapping[str, Any] | ColegaError) -> None:
    """A line of how a query was answered, under its caller's request, and a span below its caller's."""
    failed = isinstance(outcome, ColegaError)
    ms = 0.0 if isinstance(outcome, ColegaError) else outcome["took_ms"]["search"]
    search = query.ask.search
    told = {
        "collection": None if search is None else search.collection,
        "problem": outcome.type if isinstance(outcome, ColegaError) else None,
    }
    logger().info(
        "search.answered", request=query.trail.get(REQUEST), search_ms=None if failed else round(ms, 2), **told
    )
    tracing.record(
        "searcher.search", ms / 1000, parent=query.trail.get(TRACEPARENT), collection=told["collection"] or 0
    )


def _batch(queries: Sequence[Query], replicas: Replicas) -> Iterator[Outcome]:
    search = queries[0].ask.search
    assert search is not None
    try:
        replica = replicas.get(search.collection, search.generation)
        if replica is None:
            yield from ((query, _not_yet(query.ask, None)) for query in queries)
            return
        ready = [query for query in queries if query.ask.search and (query.ask.search.after or 0) <= replica.sequence]
        yield from ((query, _not_yet(query.ask, replica)) for query in queries if query not in ready)
        yield from _ranked(ready, replica)
    except ColegaError as error:
        yield from ((query, error) for query in queries)
    except Exception:  # noqa: BLE001 - The next search may go well, and who asked must be told now.
        logger().exception("search.failed")
        yield from ((query, Unavailable("The search failed in the searcher; its log tells why.")) for query in queries)


def _ranked(queries: Sequence[Query], replica: Replica) -> Iterator[Outcome]:
    """The first photo's faces of each query, ranked; or scored against one person where the queries name one."""
    if not queries:
        return
    search = queries[0].ask.search
    assert search is not None
    started = time.perf_counter()
    sequence = replica.sequence
    faces = [query.answer["photos"][0]["faces"] for query in queries]
    vectors = vectors_of([face["vector"] for each in faces for face in each], replica.templates.dimension)
    if search.person is not None:
        hits = [ranking.score(replica, vector, [search.person]) for vector in vectors]
    else:
        hits = ranking.rank(replica, vectors, search.k, where=search.where)
    told = [[asdict(ranked) for ranked in found] for found in hits]
    if search.head is not None:
        _judge(told, vectors, Head.of_json(search.head, replica.templates.dimension), replica)
    took_ms = 1000 * (time.perf_counter() - started)
    first = 0
    for query, mine in zip(queries, faces, strict=True):
        found = told[first : first + len(mine)]
        first += len(mine)
        took = {**query.answer["took_ms"], "search": took_ms}
        yield query, {**query.answer, "sequence": sequence, "hits": found, "took_ms": took}


def _judge(hits: Sequence[list[dict[str, Any]]], vectors: Vectors, head: Head, replica: Replica) -> None:
    """Give every hit the ``probability`` that query and template are one person's, by *head*."""
    flat = [(hit, row) for row, found in enumerate(hits) for hit in found]
    if not flat:
        return
    templates = replica.templates.vectors([hit["person"] for hit, _ in flat])
    said = head.probabilities(vectors[[row for _, row in flat]], templates)
    for (hit, _), probability in zip(flat, said.tolist(), strict=True):
        hit["probability"] = probability


def _not_yet(ask: Ask, replica: Replica | None) -> ColegaError | None:
    if ask.left_s > _LAST_MOMENT_S:
        return None
    if replica is None:
        return IndexBehind("The collection is still being loaded. Try again in a moment.")
    after = ask.search.after if ask.search is not None else None
    return IndexBehind(f"The index is at {replica.sequence}; {after} was asked for. Try again in a moment.")
