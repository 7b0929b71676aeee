"""Our index beside a peer's graph over the same faces and queries: recall by effort, and the time of a query in turn.

Each peer is built with one setting or two. A search's effort rises until the recall is 0.999, or as far as it goes; the
setting that needs least CPU there (or that comes nearest) is the peer's best, and is timed in turn with ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import K, coded, engine_of, folder_in
from benchmarks.index.galleries import Gallery, gallery
from benchmarks.index.graphs import Graph, graph_of
from benchmarks.index.recall import recall
from benchmarks.index.timing import BURSTS, Spent, Times, spent
from benchmarks.machine import Row
from index.engine.engine import Engine
from index.engine.scan import Rule
from index.engine.segment import Segment

GOAL = 0.999
EFFORTS = (100, 200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1600, 2000, 2800, 4000, 5600, 8000)
CANDIDATES = (16, 32, 64, 128, 256, 512, 1024, 2048)
SETTINGS = ((16, 128), (32, 256))
"""Links a node and effort of construction. More of both costs more to build and less to search at a high recall."""

_QUERIES = 400


@dataclass(frozen=True, slots=True)
class Point:
    """One setting of a search: what it finds and what it takes."""

    effort: int
    recall: float
    near: float
    times: Times


@dataclass(frozen=True, slots=True)
class Built:
    """A peer with one setting of its graph."""

    name: str
    settings: tuple[int, int]
    spent: Spent
    curve: Sequence[Point]

    @property
    def best(self) -> Point:
        """The least effort that reaches the goal, else the one that finds most."""
        good = [point for point in self.curve if point.recall >= GOAL]
        return good[0] if good else max(self.curve, key=lambda point: point.recall)


def beside(name: str, size: int, settings: Sequence[tuple[int, int]] = SETTINGS) -> Callable[[Asked], Told]:
    """The part that measures one peer at one size."""

    def told(asked: Asked) -> Told:
        if name != "pgvector" and asked.peer_python is None:
            return Told([], [f"{name} is absent: no --peer-python with it was given"])
        held = gallery(asked.folder, asked.sizes[0] if asked.quick else size)
        return _measured(name, held, settings[:1] if asked.quick else settings, asked)

    return told


def ours(asked: Asked) -> Told:
    """Our own curve: recall and time by the number of candidates that are compared exactly."""
    rows: list[Row] = []
    for size in asked.sizes[:1] if asked.quick else (100_000, 300_000, 1_000_000):
        held = gallery(asked.folder, size)
        queries = held.order(5, asked.calls(1000))
        with engine_of(held, asked.folder) as engine:
            for count in CANDIDATES:
                _compare(engine, count)
                rows += _curve_rows(faces(size), "ours", _point(held, queries, count, partial(_ours, engine, held)))
    return Told(rows)


def _measured(name: str, held: Gallery, settings: Sequence[tuple[int, int]], asked: Asked) -> Told:
    case, queries = faces(len(held)), held.order(5, asked.calls(_QUERIES))
    alive = np.setdiff1d(np.arange(len(held)), held.dead - 1)
    rows: list[Row] = []
    with folder_in(asked.folder) as folder, engine_of(held, folder) as engine:
        build = _our_build(held, asked)
        with graph_of(name, asked.peer_python, np.asarray(held.vectors)[alive], held.queries, folder) as graph:
            best: Built | None = None
            for links, effort in settings:
                built = Built(name, (links, effort), graph.build(links, effort), _curve(graph, held, alive, queries))
                rows += _built_rows(case, built, build)
                if best is None or _is_better(built.best, best.best):
                    best = built
            assert best is not None
            if best.settings != settings[-1]:
                graph.build(*best.settings)
            rows += _in_turn(engine, graph, best, held, queries)
            versions = graph.versions
    return Told(rows, [versions, f"{len(queries)} queries of all groups; peers are built without the removed faces"])


def _our_build(held: Gallery, asked: Asked) -> Spent:
    def build() -> None:
        with folder_in(asked.folder) as folder, engine_of(held, folder, dead=False) as engine:
            coded(engine, held)

    return spent(build)


def _curve(graph: Graph, held: Gallery, alive: np.ndarray, queries: np.ndarray) -> list[Point]:
    points: list[Point] = []
    for effort in EFFORTS:
        if effort > graph.most_ef:
            break

        def asked(n: int, effort: int = effort) -> tuple[float, float, Sequence[int]]:
            answer = graph.query(n, K, effort)
            return answer.cpu_ms, answer.wall_ms, (alive[answer.rows] + 1).tolist()

        points.append(_point(held, queries, effort, asked))
        if points[-1].recall >= GOAL:
            break
    return points


def _point(
    held: Gallery, queries: np.ndarray, effort: int, asked: Callable[[int], tuple[float, float, Sequence[int]]]
) -> Point:
    times, ids = Times(), np.full((len(queries), K), -1, np.int64)
    for row, query in enumerate(queries.tolist()):
        cpu, wall, found = asked(query)
        times.cpu_ms.append(cpu)
        times.wall_ms.append(wall)
        ids[row, : len(found)] = found
    of = recall(held, ids, queries)
    return Point(effort, of.all, of.near, times)


def _ours(engine: Engine, held: Gallery, n: int) -> tuple[float, float, Sequence[int]]:
    times = Times()
    with times.one():
        hits = engine.search(held.queries[n : n + 1], K)
    return times.cpu, times.wall, hits.ids[0].tolist()


def _in_turn(engine: Engine, graph: Graph, best: Built, held: Gallery, queries: np.ndarray) -> list[Row]:
    times, theirs, ids = Times(), Times(), []
    for burst in np.array_split(queries, BURSTS):
        for query in burst.tolist():
            with times.one():
                hits = engine.search(held.queries[query : query + 1], K)
            ids.append(hits.ids[0])
        for query in burst.tolist():
            answer = graph.query(query, K, best.best.effort)
            theirs.cpu_ms.append(answer.cpu_ms)
            theirs.wall_ms.append(answer.wall_ms)
    case, peer = faces(len(held)), f"{best.name}, ef {best.best.effort}"
    found = recall(held, np.stack(ids), queries)
    return [
        Row(case, f"recall@{K}", found.all, peer, best.best.recall),
        Row(case, "one query, CPU ms, median", times.cpu, peer, theirs.cpu, theirs.cpu / times.cpu),
        Row(case, "one query, wall ms, median", times.wall, peer, theirs.wall, theirs.wall / times.wall),
        Row(case, "one query, wall ms, p99", times.wall_p99, peer, theirs.wall_p99, theirs.wall_p99 / times.wall_p99),
    ]


def _built_rows(case: str, built: Built, build: Spent) -> list[Row]:
    name = f"{built.name}, M {built.settings[0]}, ef {built.settings[1]}"
    took = built.spent
    rows = [Row(case, "build, CPU s", build.cpu_s, name, took.cpu_s, took.cpu_s / build.cpu_s)]
    for point in built.curve:
        rows += _curve_rows(case, name, point)
    return rows


def _curve_rows(case: str, name: str, point: Point) -> list[Row]:
    case = f"curve, {case}, {name}, at {point.effort}"
    return [
        Row(case, f"recall@{K}", point.recall),
        Row(case, f"recall@{K}, cosine 0.6 or more", point.near),
        Row(case, "CPU ms, median", point.times.cpu),
    ]


def _is_better(one: Point, other: Point) -> bool:
    if one.recall >= GOAL and other.recall >= GOAL:
        return one.times.cpu < other.times.cpu
    return one.recall > other.recall


def _compare(engine: Engine, count: int) -> None:
    """Have the engine compare so many candidates exactly, whatever its rule says."""
    rule = Rule(lambda _rows, _k: count, lambda base, segments: base if segments == 1 else 2 * base // segments + 50)
    for part in engine.parts:
        if isinstance(part, Segment) and part.scan is not None:
            part.scan.rule = rule  # type: ignore[misc] # Read-only to its users.
