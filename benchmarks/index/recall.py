"""Recall: which of the ten most similar faces, by float32, a search finds. From 4,000 faces to a million."""

import os
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.index.asked import Asked, Told, faces
from benchmarks.index.engines import K, engine_of, flat_fp16
from benchmarks.index.galleries import GROUPS, Gallery, gallery
from benchmarks.index.timing import Times, in_turn
from benchmarks.machine import Row
from index.engine.engine import Engine

NEAR = 0.6
"""Neighbours at least so similar are the ones that a threshold lets through."""


@dataclass(frozen=True, slots=True)
class Recall:
    """Shares of true neighbours that were found."""

    all: float
    near: float
    """Of those with a cosine of :data:`NEAR` or more."""


def recall(held: Gallery, ids: NDArray[np.int64], queries: NDArray[np.int64]) -> Recall:
    """The recall of *ids* (q, k), the answers to these *queries* (q,)."""
    true, similar = held.true_ids[queries, :K], held.true_similarities[queries, :K]
    there = (true[:, :, None] == ids[:, None, :K]).any(2)
    near = similar >= NEAR
    return Recall(float(there.mean()), float(there[near].mean()) if near.any() else 1.0)


def told(asked: Asked) -> Told:
    """Every size of the ladder, queries by group; and the time of a query beside the exact scan."""
    rows: list[Row] = []
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    for size in asked.ladder:
        held = gallery(asked.folder, size)
        flat = flat_fp16(held)
        with engine_of(held, asked.folder) as engine:
            ids, times = _asked(engine, flat, held, asked.calls(100))
        every = np.arange(len(held.queries))
        groups = {"all": every} | {name: every[held.groups == n] for n, name in enumerate(GROUPS)}
        for name, queries in groups.items():
            of = recall(held, ids[queries], queries)
            rows.append(Row(faces(size), f"recall@{K}, {name}", of.all))
            rows.append(Row(faces(size), f"recall@{K}, {name}, cosine {NEAR:g} or more", of.near))
        rows.append(Row(faces(size), "one query, CPU ms, median", times["ours"].cpu))
        rows.append(Row(faces(size), "exact fp16 scan, CPU ms, median", times["exact"].cpu))
        assert not np.isin(ids, held.dead).any()
    os.sched_setaffinity(0, cores)
    counts = ", ".join(f"{n} {name}" for name, n in zip(GROUPS, np.bincount(held.groups).tolist(), strict=True))
    return Told(rows, [f"queries: {counts}; 1 % of the faces are removed and none of them was returned"])


def _asked(
    engine: Engine, flat: "faiss.IndexScalarQuantizer", held: Gallery, exact: int
) -> tuple[NDArray[np.int64], dict[str, Times]]:
    """The faces found for every query, and what a query took, some of the exact scan's between them."""
    ids = np.full((len(held.queries), K), -1, np.int64)

    def ours(n: int) -> None:
        ids[n] = engine.search(held.queries[n : n + 1], K).ids[0]

    def scanned(n: int) -> None:
        flat.search(held.queries[n : n + 1], K)

    return ids, in_turn({"ours": ours, "exact": scanned}, {"ours": len(held.queries), "exact": exact})
