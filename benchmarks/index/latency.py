"""One query's time, beside the exact scan of the same vectors as float16, in turn with it."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import K, engine_of, flat_fp16
from benchmarks.index.galleries import Gallery, gallery
from benchmarks.index.timing import Times, in_turn
from benchmarks.machine import Row
from index.engine.engine import Engine
from index.engine.looking import Helper
from index.engine.segment import Segment

TOGETHER = 64

T = TypeVar("T")


class Switched(Helper):
    """A helper that is let help, or not; its thread keeps to the last core."""

    def __init__(self) -> None:
        super().__init__()
        self.helps = True
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(mine)})
        super().over(lambda _: time.sleep(0.01), range(8))  # Its thread is made now, and inherits the core.
        os.sched_setaffinity(0, mine)

    def over(self, function: Callable[[int], T], items: Sequence[int]) -> list[T]:
        """As a helper does, while it is let."""
        return super().over(function, items) if self.helps else [function(item) for item in items]


def told(asked: Asked) -> Told:
    """Both sizes: one thread on a core of its own, then with the helper on another; alone, and 64 together."""
    rows: list[Row] = []
    cores = os.sched_getaffinity(0)
    for size in asked.sizes:
        held = gallery(asked.folder, size)
        helper = Switched()
        with engine_of(held, asked.folder, helper=helper) as engine:
            os.sched_setaffinity(0, {min(cores)})
            rows += _in_turn(engine, helper, held, asked)
            os.sched_setaffinity(0, cores)
            rows += _clients(engine, helper, held, asked)
    return Told(rows, ["one thread keeps to one core, its helper to another; two clients are two threads, unpinned"])


def _in_turn(engine: Engine, helper: Switched, held: Gallery, asked: Asked) -> list[Row]:
    flat = flat_fp16(held)
    queries = held.queries[held.order(1, len(held.queries))]

    def one(n: int) -> None:
        helper.helps = False
        engine.search(_some(queries, n, 1), K)

    def helped(n: int) -> None:
        helper.helps = True
        engine.search(_some(queries, n, 1), K)

    def together(n: int) -> None:
        helper.helps = False
        engine.search(_some(queries, n, TOGETHER), K)

    def scanned(n: int) -> None:
        _scan(engine, _some(queries, n, 1))

    def exact(n: int) -> None:
        flat.search(_some(queries, n, 1), K)

    many = asked.calls(2000)
    times = in_turn(
        {"one": one, "helped": helped, "scanned": scanned, "together": together, "exact": exact},
        {"one": many, "helped": many, "scanned": many, "together": asked.calls(40), "exact": asked.calls(200)},
    )
    case = faces(len(held))
    return [*_rows(case, times), Row(case, "of it the scan of the codes, CPU ms, median", times["scanned"].cpu)]


def _scan(engine: Engine, query: np.ndarray) -> None:
    """What a search does first: the candidates of every segment, not yet merged."""
    segments = [part for part in engine.parts if isinstance(part, Segment) and part.scan is not None]
    for segment in segments:
        assert segment.scan is not None
        rule = segment.scan.rule
        count = rule.from_each(rule.candidates(len(engine), K), len(segments))
        segment.scan.nearest(query, count, segment.tombstones.bits)


def _rows(case: str, times: dict[str, Times]) -> list[Row]:
    one, helped, together, exact = (times[name] for name in ("one", "helped", "together", "exact"))
    beside = "exact fp16 scan"
    gain = TOGETHER * one.cpu / together.cpu
    return [
        Row(case, "one query, CPU ms, median", one.cpu, beside, exact.cpu, exact.cpu / one.cpu),
        Row(case, "one query, wall ms, median", one.wall, beside, exact.wall, exact.wall / one.wall),
        Row(case, "one query, wall ms, p99", one.wall_p99, beside, exact.wall_p99, exact.wall_p99 / one.wall_p99),
        Row(case, "one query, two threads, CPU ms, median", helped.cpu, "one thread", one.cpu, one.cpu / helped.cpu),
        Row(
            case, "one query, two threads, wall ms, median", helped.wall, "one thread", one.wall, one.wall / helped.wall
        ),
        Row(
            case,
            "one query, two threads, wall ms, p99",
            helped.wall_p99,
            "one thread",
            one.wall_p99,
            one.wall_p99 / helped.wall_p99,
        ),
        Row(case, f"{TOGETHER} together, CPU ms a query", together.cpu / TOGETHER, "one at a time", one.cpu, gain),
    ]


def _clients(engine: Engine, helper: Switched, held: Gallery, asked: Asked) -> list[Row]:
    """Queries a second from one client and from two, each query in one thread."""
    helper.helps = False
    queries = held.queries[held.order(2, len(held.queries))]
    each = asked.calls(400)
    rates = []
    for clients in (1, 2):
        threads = [threading.Thread(target=_ask, args=(engine, queries, n, each)) for n in range(clients)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rates.append(clients * each / (time.perf_counter() - started))
    one, two = rates
    return [Row(faces(len(held)), "two clients, queries/s", two, "one client", one, two / one)]


def _ask(engine: Engine, queries: np.ndarray, first: int, count: int) -> None:
    for n in range(count):
        engine.search(_some(queries, first + n, 1), K)


def _some(queries: np.ndarray, n: int, count: int) -> np.ndarray:
    first = n * count % (len(queries) - count + 1)
    return queries[first : first + count]
