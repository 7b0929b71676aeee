"""Searching: vectors in, ranked persons out, from the replica of exactly the model that made the vectors."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from index import ranking
from index.follower import Follower
from index.protocol import Head, Log
from index.ranking import Ranked
from index.replica import Replica
from services.broker.requests import Ask, Query
from services.errors import ColegaError, IndexBehind, NotFound
from workers.vectors import vectors_of

_BYTES_A_FACE = 1400  # A float16 vector of 512 and what the dictionaries keep beside it.


@dataclass(slots=True)
class Held:
    """A replica in use."""

    follower: Follower
    used_at: float = field(default_factory=time.monotonic)


class Replicas:
    """The replicas of the collections in use; loaded on first use, dropped by least recent use above the limit."""

    def __init__(self, log: Log, *, memory_mb: int) -> None:
        self._log = log
        self._memory_bytes = memory_mb * 2**20
        self._held: dict[tuple[int, int], Held] = {}

    def replica(self, collection: int, model: int, dimension: int) -> Replica:
        """The replica of a collection under a model, loaded where it is not here yet.

        Raises:
            NotFound: The collection is gone.
        """
        held = self._held.get((collection, model))
        if held is None:
            held = Held(Follower(self._log, collection, model, dimension))
            self._held[collection, model] = held
            held.follower.start()
            self._make_room(keep=(collection, model))
        held.used_at = time.monotonic()
        if held.follower.replica is None:
            del self._held[collection, model]
            raise NotFound("collection", collection)
        return held.follower.replica

    def follow(self, heads: Mapping[int, Head]) -> int:
        """Move every replica to the head of its log; returns how many entries that was."""
        applied = 0
        for (collection, model), held in list(self._held.items()):
            head = heads.get(collection)
            if head is None:
                del self._held[collection, model]
                continue
            applied += max(held.follower.lag(head), 0)
            held.follower.catch_up(head)
        return applied

    def described(self, heads: Mapping[int, Head]) -> list[dict[str, Any]]:
        """What ``status`` shows of each replica."""
        return [
            {
                "collection": collection,
                "model": model,
                "epoch": held.follower.replica.epoch,
                "sequence": held.follower.replica.sequence,
                "lag": held.follower.lag(heads[collection]),
                "faces": len(held.follower.replica),
                "reloads": held.follower.reloads,
            }
            for (collection, model), held in self._held.items()
            if held.follower.replica is not None and collection in heads
        ]

    def _make_room(self, keep: tuple[int, int]) -> None:
        def size() -> int:
            held = (h.follower.replica for h in self._held.values())
            return _BYTES_A_FACE * sum(len(replica) for replica in held if replica is not None)

        while size() > self._memory_bytes and len(self._held) > 1:
            oldest = min((key for key in self._held if key != keep), key=lambda key: self._held[key].used_at)
            del self._held[oldest]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a query ended: with an answer, with an error, or not yet."""

    answer: dict[str, Any] | None = None
    error: ColegaError | None = None


def answer(query: Query, replicas: Replicas, dimension: int) -> Outcome:
    """Answer *query* if its replica is far enough; an empty outcome means: try again when the log was followed.

    The vectors of the first photo's faces are ranked, or scored against one person where the query names one.
    """
    search = query.ask.search
    assert search is not None
    try:
        replica = replicas.replica(search.collection, search.model, dimension)
        if search.after is not None and replica.sequence < search.after:
            return Outcome() if query.ask.left_s > 0.02 else Outcome(error=_behind(query.ask, replica))
        started = time.perf_counter()
        faces = query.answer["photos"][0]["faces"]
        queries = vectors_of([face["vector"] for face in faces], dimension)
        if search.person is not None:
            hits = [ranking.score(replica, vector, [search.person]) for vector in queries]
        else:
            hits = ranking.rank(replica, queries, search.k)
        took_ms = 1000 * (time.perf_counter() - started)
        given = {**query.answer, "sequence": replica.sequence, "hits": [_told(found) for found in hits]}
        return Outcome(answer={**given, "took_ms": {**query.answer["took_ms"], "search": took_ms}})
    except ColegaError as error:
        return Outcome(error=error)


def _told(found: Sequence[Ranked]) -> list[dict[str, Any]]:
    return [asdict(ranked) for ranked in found]


def _behind(ask: Ask, replica: Replica) -> IndexBehind:
    after = ask.search.after if ask.search is not None else None
    return IndexBehind(f"The index is at {replica.sequence}; {after} was asked for. Try again in a moment.")
