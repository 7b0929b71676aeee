"""Ranking: the ten nearest persons, each with the evidence, from a replica as the searcher holds it."""

from collections.abc import Iterator

import numpy as np

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import NEVER_WORN, Alone, K, folder_in
from benchmarks.index.galleries import Gallery, gallery
from benchmarks.index.timing import in_turn, spent
from benchmarks.machine import Row
from index import ranking
from index.engine.engine import Engine
from index.engine.sealing import SealingHere
from index.owners import Persons
from index.protocol import Half, Ids
from index.replica import Replica

TOGETHER = 64


def told(asked: Asked) -> Told:
    """Both sizes; the templates alone beside."""
    rows: list[Row] = []
    for size in asked.sizes:
        held = gallery(asked.folder, size)
        with folder_in(asked.folder) as folder:
            faces_of, templates = (Engine(512, folder, SealingHere(), helper=Alone(), sizes=NEVER_WORN) for _ in "ft")
            replica = Replica(faces_of, templates, epoch="made")
            templates.prepare()
            took = spent(lambda replica=replica, held=held: replica.fill(_blocks(held), [], sequence=1))  # type: ignore[misc]
            while replica.settle():
                pass
            rows += _timed(replica, held, asked)
            rows.append(Row(faces(size), "persons", len(templates)))
            rows.append(Row(faces(size), "filled from memory, CPU s", took.cpu_s))
    return Told(rows, ["one thread; nobody is removed; vectors are mapped"])


def _timed(replica: Replica, held: Gallery, asked: Asked) -> list[Row]:
    queries = held.queries[held.order(6, len(held.queries))]

    def ranked(n: int) -> None:
        ranking.rank(replica, queries[n % len(queries)][None], K)

    def templates(n: int) -> None:
        replica.templates.search(queries[n % len(queries)][None], K)

    def together(n: int) -> None:
        first = n * TOGETHER % (len(queries) - TOGETHER)
        ranking.rank(replica, queries[first : first + TOGETHER], K)

    many = asked.calls(1000)
    contenders = {"ranked": ranked, "templates": templates, "together": together}
    times = in_turn(contenders, {"ranked": many, "templates": many, "together": asked.calls(40)})
    case = faces(len(held))
    return [
        *times["ranked"].rows(case, f"{K} nearest persons with evidence"),
        Row(case, "of it the templates, CPU ms, median", times["templates"].cpu),
        Row(case, f"{TOGETHER} together, CPU ms a query", times["together"].cpu / TOGETHER),
    ]


def _blocks(held: Gallery) -> Iterator[tuple[Ids, Persons, Half]]:
    owners = np.unique(held.persons, return_inverse=True)[1] + 1
    for ids, vectors in held.blocks():
        yield ids, owners[ids - 1], vectors
