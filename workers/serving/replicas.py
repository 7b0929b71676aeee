"""Replicas: the collections that a searcher holds, each following its log.

A collection is loaded on first use or from the start (``COLEGA_INDEX_PINNED``), beside the thread that follows, so that
a large one keeps no other waiting; and dropped by least recent use when all of them need more than
``COLEGA_INDEX_MEMORY_MB``. A collection with several generations has a replica of each, and all of them are held: so that
a switch from one to another finds both ready.
"""

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from index.follower import Follower, Home
from index.protocol import Head, Log
from index.replica import Replica
from services.errors import ColegaError, IndexBehind, IndexUnavailable, NotFound
from services.logs import logger
from workers.serving.holding import Held
from workers.serving.memory import give_back
from workers.serving.snapshotting import Key, Snapshotting

_A_REPLICA_BYTES = 200_000
"""What one needs in this process beside its arrays."""
_RETRY_S = 5.0
_SETTLE_EVERY_S = 60.0
"""How often a replica that nothing happens to is looked at: what was removed from it leaves the disk within an hour."""
_COUNT_EVERY_S = 4.0
_WORTH_GIVING_BACK = 50_000
_LOADERS = 2


@dataclass(frozen=True, slots=True)
class Keeping:
    """How replicas are kept."""

    memory_mb: int
    snapshot_s: float
    """How often one that has changed is written down."""
    snapshot_faces: int
    """From so many faces on."""
    pinned: Callable[[], set[Key]] = set
    """What is held whether it is used or not."""
    uploads: Callable[[], bool] = lambda: False
    """Whether this searcher is the one whose snapshots go to the shelf."""
    loaded: Callable[[], None] = lambda: None
    """Told when something was loaded, from another thread."""
    linger_s: float = 30.0
    """For so long a generation that was dropped is held on: a search that began before may still ask for it."""


class Replicas:
    """What a searcher holds. :meth:`get` and :meth:`described` from any thread, the rest from the one that follows."""

    def __init__(self, log: Log, opened: Callable[[int, int], Home], keeping: Keeping) -> None:
        self._log = log
        self._opened = opened
        self._keeping = keeping
        self._held: dict[Key, Held] = {}
        self._wanted: dict[Key, None] = {}
        self._loading: dict[Key, Future[Follower]] = {}
        self._failed: dict[Key, tuple[float, ColegaError]] = {}
        self._snapshotting = Snapshotting(keeping.snapshot_s, keeping.snapshot_faces, keeping.uploads)
        self._loaders = ThreadPoolExecutor(_LOADERS, "loading")
        self._counted_at = 0.0
        self._seen: Mapping[int, Head] = {}

    def get(self, collection: int, generation: int) -> Replica | None:
        """The replica of a collection in a generation. None: it is not here yet; it was asked for with this.

        Raises:
            NotFound: The collection or the generation is gone.
            ColegaError: It cannot be had; it is tried again in some seconds.
        """
        key = (collection, generation)
        held = self._held.get(key)
        if held is not None and held.follower.replica is not None:
            held.used_at = time.monotonic()
            return held.follower.replica
        at, error = self._failed.get(key, (0.0, None))
        if error is not None and time.monotonic() - at < _RETRY_S:
            raise error
        self._wanted[key] = None
        return None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a replica that is not here and not being loaded."""
        return any(key not in self._loading for key in list(self._wanted))

    @property
    def here(self) -> AbstractSet[Key]:
        """What is held now. Asked for by the thread that follows."""
        return set(self._held)

    @property
    def sequences(self) -> list[tuple[int, int]]:
        """Collection and sequence number of every replica. Asked for by the thread that follows."""
        return [(key[0], replica.sequence) for key, replica in self._here().items()]

    @property
    def in_use(self) -> set[Key]:
        """Whose files may be read or written now. Asked for by the thread that follows."""
        return self._held.keys() | self._loading.keys() | self._snapshotting.at_work

    def follow(self, heads: Mapping[int, Head]) -> None:
        """Move every replica to the head of its log, load those that are wanted, and do what lies between."""
        for key in [key for key, loading in self._loading.items() if loading.done()]:
            self._take_in(key, self._loading.pop(key))
        for key, held in self._restless(heads):
            head = heads.get(key[0])
            if head is None:
                self._drop(key)
                continue
            with suppress(IndexBehind, IndexUnavailable):  # Milvus is away: the replica's trouble says so.
                self._move(key, held, head)
        self._seen = heads  # Only now: what an error kept from being moved is not at rest.
        for key in {**dict.fromkeys(self._keeping.pinned() - self._held.keys()), **self._wanted}:
            self._wanted.pop(key, None)
            if key not in self._held:
                self._load(key, None)
        damaged = self._snapshotting.turn(self._here) if self._snapshotting.is_time() else None
        if damaged is not None:
            self._held[damaged].recovered = "A file of its snapshot was damaged."
            self._held[damaged].follower.reloads += 1
            self._load(damaged, self._held[damaged].follower)
        if time.monotonic() - self._counted_at >= _COUNT_EVERY_S:
            self._count()

    def hasten(self, key: Key, sequence: int) -> Follower | None:
        """Have what log entries up to *sequence* removed leave the files of a replica; what follows its log, once it is here."""
        held = self._held.get(key)
        if held is None or held.follower.replica is None or key in self._loading:
            return None
        if held.follower.replica.cleansed < sequence:
            held.follower.replica.hasten(sequence)
            held.is_busy = True
        return held.follower

    def is_written(self, key: Key, sequence: int) -> bool:
        """Whether its files may be looked through now: no snapshot is being written, nor has to be before older ones may go."""
        replica = self._held[key].follower.replica
        return replica is None or self._snapshotting.is_beyond(key, replica, sequence)

    def let_go(self, kept: AbstractSet[Key]) -> None:
        """Drop what is held of generations that are not *kept* any more, once nobody can ask for it."""
        now = time.monotonic()
        for key, held in list(self._held.items()):
            if key in kept:
                held.dropped_at = None
            elif held.dropped_at is None:
                held.dropped_at = now
            elif now - held.dropped_at >= self._keeping.linger_s and key not in self._loading:
                self._drop(key)
                logger().info("replica.let_go", collection=key[0], generation=key[1])

    def described(self, heads: Mapping[int, Head]) -> list[dict[str, Any]]:
        """What ``status`` shows of each replica."""
        return [
            {
                "collection": key[0],
                "generation": key[1],
                "epoch": replica.epoch,
                "sequence": replica.sequence,
                "lag": held.follower.lag(heads[key[0]]),
                "faces": len(replica),
                "people": len(replica.templates),
                "refused": replica.refused,
                "reloads": held.follower.reloads,
                "reloading": key in self._loading,
                "origin": held.follower.origin,
                "recovered": held.recovered,
                "snapshot": self._snapshotting.sequence(key),
                "trouble": replica.trouble,
                "memory_mb": round(held.size_bytes / 2**20, 1),
            }
            for key, held in list(self._held.items())
            if (replica := held.follower.replica) is not None and key[0] in heads
        ]

    def close(self) -> None:
        """Wait for what is being written."""
        self._loaders.shutdown(wait=True, cancel_futures=True)
        self._snapshotting.close()

    def _restless(self, heads: Mapping[int, Head]) -> list[tuple[Key, Held]]:
        """What something may have to be done for. Of a thousand that nothing happens to, a look at each."""
        is_still = heads == self._seen
        long_ago = time.monotonic() - _SETTLE_EVERY_S
        return [
            (key, held)
            for key, held in self._held.items()
            if not (is_still and held.is_at_rest and held.settled_at > long_ago)
            and key not in self._loading  # It is being made anew, and answers as it was until then.
        ]

    def _here(self) -> dict[Key, Replica]:
        held = ((key, held.follower.replica) for key, held in self._held.items() if key not in self._loading)
        return {key: replica for key, replica in held if replica is not None}

    def _move(self, key: Key, held: Held, head: Head) -> None:
        replica = held.follower.replica
        if replica is None or replica.epoch != head.epoch or replica.sequence != head.sequence or replica.is_outdated:
            held.is_busy = True
            if not held.follower.catch_up(head):
                self._load(key, held.follower)
            self._report(key, held)
        if held.follower.replica is not None and (
            held.is_busy or time.monotonic() - held.settled_at >= _SETTLE_EVERY_S
        ):
            held.is_busy = held.follower.replica.settle()
            held.settled_at = time.monotonic()

    def _load(self, key: Key, follower: Follower | None) -> None:
        """Have a replica loaded, or one that is here made anew; later, while files of its folder are in use."""
        if key in self._loading:
            return
        if key in self._snapshotting.at_work:
            self._wanted[key] = None
            return
        loading = self._loaders.submit(self._started, key, follower)
        loading.add_done_callback(lambda _: self._keeping.loaded())
        self._loading[key] = loading

    def _started(self, key: Key, follower: Follower | None) -> Follower:
        """A follower whose replica is at the head of its log. Runs beside everything else."""
        began = time.monotonic()
        try:
            follower = follower or Follower(self._log, *key, self._opened(*key))
            replica = follower.start()
        except ColegaError:
            raise
        except Exception as error:  # Whatever it is, who waits for this replica must be told.
            logger().exception("replica.not_loaded", collection=key[0])
            raise IndexUnavailable(f"The index cannot be loaded: {error}") from error
        if replica is None:
            raise NotFound("collection", key[0])
        if follower.origin == "rows" and len(replica) >= _WORTH_GIVING_BACK:
            give_back()
        seconds = round(time.monotonic() - began, 2)
        logger().info("replica.loaded", collection=key[0], faces=len(replica), origin=follower.origin, seconds=seconds)
        return follower

    def _take_in(self, key: Key, loading: "Future[Follower]") -> None:
        try:
            follower = loading.result()
        except ColegaError as error:
            self._failed[key] = time.monotonic(), error
            if key in self._held and self._held[key].follower.replica is None:
                self._drop(key)
            return
        self._failed.pop(key, None)
        self._wanted.pop(key, None)
        before = self._held.get(key)
        self._held[key] = Held(follower, used_at=time.monotonic(), recovered=before.recovered if before else "")
        self._snapshotting.begin(key, follower)
        self._report(key, self._held[key])
        self._count()

    def _drop(self, key: Key) -> None:
        del self._held[key]
        self._snapshotting.forget(key)

    def _count(self) -> None:
        """Add up what is held, and drop what was not used for the longest time until the rest fits."""
        self._counted_at = time.monotonic()
        for held in self._held.values():
            if held.follower.replica is not None and (held.is_busy or not held.size_bytes):
                held.size_bytes = _A_REPLICA_BYTES + held.follower.replica.hot_bytes
        total = sum(held.size_bytes for held in self._held.values())
        if total <= self._keeping.memory_mb * 2**20:
            return
        kept = self._keeping.pinned() | self._loading.keys()
        for key in sorted(self._held.keys() - kept, key=lambda key: self._held[key].used_at)[:-1]:
            if total <= self._keeping.memory_mb * 2**20:
                return
            total -= self._held[key].size_bytes
            self._drop(key)
            logger().info("replica.dropped", collection=key[0])

    def _report(self, key: Key, held: Held) -> None:
        for trouble in held.follower.troubles:
            logger().warning("replica.recovered", collection=key[0], reason=trouble)
            held.recovered = trouble
        held.follower.troubles.clear()
        replica = held.follower.replica
        if replica is not None and replica.refused > held.refused:
            logger().warning("replica.embeddings_refused", collection=key[0], faces=replica.refused - held.refused)
            held.refused = replica.refused
