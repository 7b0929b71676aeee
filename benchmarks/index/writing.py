"""Changing while searching: what one change takes, and what searches take while a thousand and a hundred come a second.

Sealing and compaction run in their process at nice 19, as in the searcher. Every second query is the very vector of a
face that was removed just before: if it could be found, it would be the first hit.
"""

import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import NEVER_WORN, Alone, K, coded, engine_of, folder_in
from benchmarks.index.galleries import Gallery, gallery
from benchmarks.index.timing import Times
from benchmarks.machine import Row
from index.engine.compaction import Sizes
from index.engine.engine import Engine
from index.engine.sealing import SealingHere, SealingProcess
from index.engine.segment import Segment
from index.protocol import Vectors

ADDS_A_SECOND, REMOVES_A_SECOND, SEARCHES_A_SECOND = 1000, 100, 100

_SWITCH_S = 0.0005
"""As the searcher has it."""
_SETTLE_EVERY_S = 0.05
_WORN = Sizes(dead_share=0.015)
"""A segment is written anew half a percent after the one that is dead already, so that it happens several times."""


def told(asked: Asked) -> Told:
    """Both sizes."""
    rows: list[Row] = []
    for size in asked.sizes:
        held = gallery(asked.folder, size)
        with engine_of(held, asked.folder, keeping="mapped") as engine:
            rows += _one_change(engine, held, asked.calls(500))
        rows += _under_way(held, asked)
    note = f"{SEARCHES_A_SECOND} searches/s; beside them {ADDS_A_SECOND} adds/s and {REMOVES_A_SECOND} removes/s"
    return Told(rows, [note, "a segment is written anew once 1.5 % of it are dead"])


def _one_change(engine: Engine, held: Gallery, count: int) -> list[Row]:
    """Add a face that is found by the next search, remove it, and it is not."""
    adding, removing, unseen, ghosts = Times(), Times(), 0, 0
    new = _new(held, count)
    for n, vector in enumerate(new):
        number = 10**9 + n
        with adding.one():
            engine.add([number], vector[None], sequence=3 + n)
        unseen += number not in engine.search(vector[None], K).ids
        with removing.one():
            engine.remove([number], sequence=3 + n)
        ghosts += number in engine.search(vector[None], K).ids
    case = faces(len(held))
    found = [Row(case, "added, not found by the next search", unseen), Row(case, "removed, found by the next", ghosts)]
    return [*adding.rows(case, "add one"), *removing.rows(case, "remove one"), *found]


@dataclass
class _Writer:
    """Adds and removes at a steady rate, and lets the engine settle, in a thread."""

    engine: Engine
    held: Gallery
    new: Vectors
    removed: list[int] = field(default_factory=list)
    """Faces, in the order in which they were removed; only those whose removal has returned."""
    added: int = 0
    settled_s: float = 0.0
    """Longest time that the engine kept its writer."""
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until told to stop. A writer that is late does not hurry: what it missed it leaves out."""
        random = np.random.default_rng(9)
        alive = np.setdiff1d(np.arange(1, len(self.held) + 1), self.held.dead)
        victims = random.permutation(alive[: max(len(alive) // 8, 1000)]).tolist()
        every_s, next_at, settle_at = 1 / ADDS_A_SECOND, time.perf_counter(), 0.0
        while not self.stop.is_set():
            self.engine.add([2 * 10**9 + self.added], self.new[self.added % len(self.new)][None], sequence=self.added)
            self.added += 1
            if self.added % (ADDS_A_SECOND // REMOVES_A_SECOND) == 0 and victims:
                face = victims.pop()
                self.engine.remove([face], sequence=self.added)
                self.removed.append(face)
            if time.perf_counter() >= settle_at:
                began = time.perf_counter()
                self.engine.settle()
                self.settled_s = max(self.settled_s, time.perf_counter() - began)
                settle_at = time.perf_counter() + _SETTLE_EVERY_S
            next_at = max(next_at + every_s, time.perf_counter() - 0.1)
            time.sleep(max(next_at - time.perf_counter(), 0))


def _under_way(held: Gallery, asked: Asked) -> list[Row]:
    """The same searches at the same rate without and with the writer, in one process."""
    seconds = 3.0 if asked.quick else 60.0
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    sealer = SealingProcess()
    try:
        with folder_in(asked.folder) as folder:
            engine = _sealed(held, folder, sealer)
            idle, _ = _searches(engine, held, [], seconds / 2)
            writer = _Writer(engine, held, _new(held, 4096))
            thread = threading.Thread(target=writer.run)
            thread.start()
            busy, ghosts = _searches(engine, held, writer.removed, seconds)
            writer.stop.set()
            thread.join()
            last = sum(face in engine.search(_vector(held, face), K).ids for face in writer.removed[-1000:])
    finally:
        sealer.close()
        sys.setswitchinterval(before)
    case = f"{faces(len(held))}, being changed"
    return [
        Row(case, "search, wall ms, median", busy.wall, "nothing changes", idle.wall, idle.wall / busy.wall),
        Row(
            case, "search, wall ms, p99", busy.wall_p99, "nothing changes", idle.wall_p99, idle.wall_p99 / busy.wall_p99
        ),
        Row(case, "adds/s reached", writer.added / seconds),
        Row(case, "removes/s reached", len(writer.removed) / seconds),
        Row(case, "longest that settling kept the writer, ms", 1000 * writer.settled_s),
        Row(case, "searches", len(busy.wall_ms)),
        Row(case, "removed faces returned", ghosts),
        Row(case, "removed faces returned afterwards", last),
    ]


def _sealed(held: Gallery, folder: Path, sealer: SealingProcess) -> Engine:
    """The gallery, coded, as an engine that has its work done by *sealer* from now on."""
    first = Engine(512, folder, SealingHere(), helper=Alone(), sizes=NEVER_WORN)
    first.fill(held.blocks(), sequence=1)
    coded(first, held)
    first.remove(held.dead, sequence=1)
    engine = Engine(512, folder, sealer, helper=Alone(), sizes=_WORN)
    engine.restore(first.image())
    engine.prepare()
    while engine.settle():
        time.sleep(0.05)
    assert all(part.scan is not None for part in engine.parts if isinstance(part, Segment))
    return engine


def _searches(engine: Engine, held: Gallery, removed: list[int], seconds: float) -> tuple[Times, int]:
    """Search at a steady rate; how long each took, and how many returned a face removed before they began."""
    times, ghosts, n = Times(), 0, 0
    until = time.perf_counter() + seconds
    gone: set[int] = set(held.dead.tolist())
    known = 0
    next_at = time.perf_counter()
    while time.perf_counter() < until:
        count = len(removed)
        gone.update(removed[known:count])
        known = count
        query = _vector(held, removed[count - 1]) if n % 2 and count else held.queries[n % len(held.queries)][None]
        with times.one():
            hits = engine.search(query, K)
        ghosts += sum(face in gone for face in hits.ids[0].tolist())
        n += 1
        next_at += 1 / SEARCHES_A_SECOND
        time.sleep(max(next_at - time.perf_counter(), 0))
    return times, ghosts


def _vector(held: Gallery, face: int) -> Vectors:
    return held.vectors[face - 1 : face].astype(np.float32)


def _new(held: Gallery, count: int) -> Vectors:
    """Faces that are not there, near those that are asked for."""
    random = np.random.default_rng(4)
    made = held.queries[random.integers(0, len(held.queries), count)]
    made += 0.02 * random.standard_normal(made.shape, dtype=np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made
