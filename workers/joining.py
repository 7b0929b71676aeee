"""Joining: which faces of nobody look alike, and which people, worked out beside the searches and kept for a while.

One thread takes the questions and answers them from what is kept; another feeds the process that compares
(:mod:`index.joining`). A result serves while the collection's sequence number stays, and in any case ten times as long as
it took: a collection that changes all the time is compared a tenth of the time at most.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np

from index.joining import JoiningProcess, Stream
from index.owners import NOBODY
from index.protocol import Half, Ids, VectorIndex
from index.replica import Replica
from services.broker.joins import Join, JoinAsk, JoinDesk
from services.errors import BrokerUnavailable, ColegaError, IndexBehind, Refused, WorkersBusy
from services.logs import logger
from workers import joined
from workers.joined import DoubtfulFaces, FaceGroups, Found, PersonPairs
from workers.serving.replicas import Replicas

_IDLE_S, _WAITING_S, _AWAY_S = 0.5, 0.05, 0.5
_LAST_MOMENT_S = 0.15
_SENT_AT_ONCE = 1024
_SERVES_TIMES = 10
_MOST_KEPT, _MOST_WANTED = 8, 8

Key = tuple[str, int, int, float]
"""What is compared, collection, generation, threshold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What came out, and for how long it serves."""

    epoch: str
    sequence: int
    at: float
    took_s: float
    found: Found | Refused

    def page(self, join: Join) -> dict[str, Any] | Refused:
        """What is answered."""
        if isinstance(self.found, Refused):
            return self.found
        return {"sequence": self.sequence, **joined.page(self.found, join)}

    def serves(self, asked: JoinAsk, replica: Replica) -> bool:
        """Whether *asked* can be answered by it. A further page is: so that what is paged through stays the same."""
        if self.epoch != replica.epoch or self.sequence < (asked.join.after or 0):
            return False
        if asked.join.place is not None or self.sequence >= replica.sequence:
            return True
        return time.monotonic() - self.at < _SERVES_TIMES * self.took_s


class Joining:
    """The questions, what is wanted, and what is kept. :meth:`run` is a thread's; :meth:`close` any other's."""

    def __init__(self, replicas: Replicas, desk: JoinDesk) -> None:
        self._replicas = replicas
        self._desk = desk
        self._process = JoiningProcess()
        self._worker = ThreadPoolExecutor(1, "joins-feeder")
        self._wanted: dict[Key, Replica] = {}
        self._under_way: tuple[Key, Future[Kept]] | None = None
        self._kept: dict[Key, Kept] = {}

    def run(self, stopping: Event) -> None:
        """Answer questions until *stopping*. What goes wrong here never ends a search."""
        waiting: list[JoinAsk] = []
        while not stopping.is_set():
            try:
                asked = self._desk.asks(block_s=_WAITING_S if waiting or self._under_way else _IDLE_S)
                waiting = self.settle([*waiting, *asked])
            except BrokerUnavailable:
                stopping.wait(_AWAY_S)
            except Exception:  # noqa: BLE001 - A thread that died silently would leave every later question unanswered.
                logger().exception("join.failed")
                waiting = []
                stopping.wait(_AWAY_S)

    def close(self) -> None:
        """End what is under way."""
        self._process.close()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def settle(self, asks: list[JoinAsk]) -> list[JoinAsk]:
        """Answer what can be answered, begin what is wanted next, and return what has to wait."""
        failed = self._ended()
        waiting = []
        for asked in asks:
            answer = failed[1] if failed is not None and _key(asked) == failed[0] else self._answer(asked)
            if answer is None:
                waiting.append(asked)
            else:
                self._desk.answer(asked, answer)
        if self._under_way is None and self._wanted:
            key = next(iter(self._wanted))
            replica = self._wanted.pop(key)
            self._under_way = key, self._worker.submit(self._work, key, replica)
        return waiting

    def _answer(self, asked: JoinAsk) -> dict[str, Any] | ColegaError | None:
        """The answer, what went wrong, or None: not yet."""
        join, key = asked.join, _key(asked)
        try:
            replica = self._replicas.get(join.collection, join.generation)
        except ColegaError as error:
            return error
        late = asked.left_s < _LAST_MOMENT_S
        if replica is None:
            return IndexBehind("The collection is still being loaded. Try again in a moment.") if late else None
        kept = self._kept.get(key)
        if kept is not None and kept.serves(asked, replica):
            self._kept[key] = self._kept.pop(key)  # The one that was asked for last goes last.
            return kept.page(join)
        if (join.after or 0) > replica.sequence:
            detail = f"The index is at {replica.sequence}; {join.after} was asked for. Try again in a moment."
            return IndexBehind(detail) if late else None
        if self._under_way is None or self._under_way[0] != key:
            if key not in self._wanted and len(self._wanted) >= _MOST_WANTED:
                return WorkersBusy("Too many comparisons wait. Try again in a minute.")
            self._wanted[key] = replica
        return IndexBehind("They are being compared with each other. Try again in some seconds.") if late else None

    def _ended(self) -> tuple[Key, ColegaError] | None:
        """Take in what has been worked out. Returns what could not be, which whoever waits for it is told."""
        if self._under_way is None or not self._under_way[1].done():
            return None
        (key, future), self._under_way = self._under_way, None
        try:
            self._kept.pop(key, None)
            self._kept[key] = future.result()
        except ColegaError as error:
            logger().warning("join.ended_early", collection=key[1], reason=str(error))
            return key, error
        while len(self._kept) > _MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        return None

    def _work(self, key: Key, replica: Replica) -> Kept:
        what, collection, _, threshold = key
        started, sequence, epoch = time.monotonic(), replica.sequence, replica.epoch
        found: Found | Refused
        ways: dict[str, Callable[[Replica, float], Found]] = {
            "faces": self._groups,
            "people": self._pairs,
            "doubts": self._doubts,
        }
        try:
            found = ways[what](replica, threshold)
        except Refused as refused:  # As true as any other result: it is kept, and told to whoever asks.
            found = refused
        took_s = time.monotonic() - started
        logger().info("join.done", collection=collection, what=what, sequence=sequence, seconds=round(took_s, 2))
        return Kept(epoch, sequence, time.monotonic(), took_s, found)

    def _groups(self, replica: Replica, threshold: float) -> FaceGroups:
        faces = np.sort(np.asarray(replica.owners.faces_of(NOBODY), np.int64))
        people = _people(replica)
        found = self._process.clusters(
            _stream(replica.faces, faces), _stream(replica.templates, people), replica.faces.dimension, threshold
        )
        members = faces[found.groups.members]
        lowest = np.minimum.reduceat(members, found.groups.starts[:-1]) if len(found.groups) else members
        persons = np.where(found.people >= 0, people[found.people] if len(people) else 0, 0)
        return FaceGroups(members, found.groups.starts, lowest, found.groups.similarities, persons, found.similarities)

    def _pairs(self, replica: Replica, threshold: float) -> PersonPairs:
        people = _people(replica)
        found = self._process.pairs(_stream(replica.templates, people), replica.templates.dimension, threshold)
        return PersonPairs(people[found.first], people[found.second], found.similarities)

    def _doubts(self, replica: Replica, threshold: float) -> DoubtfulFaces:
        faces, people, starts = replica.owners.by_person()
        first = int(np.searchsorted(people, NOBODY, "right"))
        faces, starts = faces[starts[first] :], starts[first:] - starts[first]
        numbers = people[first:].astype(np.int64)
        found = self._process.doubts(_stream(replica.faces, faces), starts, replica.faces.dimension, threshold)
        person = np.repeat(numbers, np.diff(starts))
        others = np.where(found.others >= 0, numbers[found.others] if len(numbers) else 0, 0)
        return DoubtfulFaces(faces[found.faces], person[found.faces], found.own, others, found.similarities)


def _key(asked: JoinAsk) -> Key:
    return asked.join.what, asked.join.collection, asked.join.generation, asked.join.threshold


def _people(replica: Replica) -> Ids:
    """Everybody who has a face, (n,) int64, rising."""
    _, people, _ = replica.owners.by_person()
    return people[people > NOBODY].astype(np.int64)


def _stream(vectors: VectorIndex, numbers: Ids) -> Stream:
    """The vectors of some faces or people; zeros, which are like nothing, for who has gone meanwhile."""

    def blocks() -> Iterator[Half]:
        for start in range(0, len(numbers), _SENT_AT_ONCE):
            yield vectors.vectors(numbers[start : start + _SENT_AT_ONCE]).astype(np.float16)

    return Stream(len(numbers), blocks())
