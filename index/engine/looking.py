"""Looking through parts: scan, merge by score, exact similarities of the best; small parts exactly."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple, TypeVar

import faiss
import numpy as np
from numpy.typing import NDArray

from index.engine import refine
from index.engine.scan import Rule, Scan
from index.engine.segment import Segment
from index.engine.tail import Tail
from index.engine.tombstones import Bits, Rows
from index.protocol import Half, Ids, Vectors

Part = Segment | Tail

PLACES = 1 << 40
"""A place is the number of a part times this, and the row in it: what sorts as parts lie, and rows in them."""

_WORTH_SPLITTING = 4
_LATE, _LATE_IN_A_ROW, _REST_S = 0.5, 3, 0.5

T = TypeVar("T")


class Found(NamedTuple):
    """Rows found in one part or several, in any order."""

    places: NDArray[np.int64]
    similarities: NDArray[np.float32]
    """-inf where rows ran out."""


class Helper:
    """One more thread for a search that would otherwise leave a core idle.

    It is taken only while nobody else has it, and left alone for a while when its half took much longer than the
    searching thread's, several times in a row: then no core is free, and splitting a query costs more than it brings.
    """

    def __init__(self) -> None:
        self._free = Lock()
        self._late = 0
        self._rests_until = 0.0
        self._thread = ThreadPoolExecutor(1, "index-helper", initializer=faiss.omp_set_num_threads, initargs=(1,))

    def over(self, function: Callable[[int], T], items: Sequence[int]) -> list[T]:
        """``[function(item) for item in items]``, the second half of it beside the first where that is worth it."""
        started = time.perf_counter()
        if len(items) < _WORTH_SPLITTING or started < self._rests_until or not self._free.acquire(blocking=False):
            return [function(item) for item in items]
        try:
            half = (len(items) + 1) // 2
            others = self._thread.submit(lambda: [function(item) for item in items[half:]])
            mine = [function(item) for item in items[:half]]
            ready = time.perf_counter()
            found = mine + others.result()
            was_late = time.perf_counter() - ready > _LATE * (ready - started)
            self._late = self._late + 1 if was_late else 0
            if self._late >= _LATE_IN_A_ROW:
                self._late, self._rests_until = 0, ready + _REST_S
            return found
        finally:
            self._free.release()


def nearest(
    parts: Sequence[Part],
    queries: Vectors,
    k: int,
    passed: Sequence[Bits],
    helper: Helper,
) -> list[tuple[Ids, NDArray[np.float32]]]:
    """The *k* most similar faces of *parts* to each query: their numbers and cosines, best first.

    Args:
        parts: Oldest first; of a face that is alive in two of them for a moment, the younger counts.
        queries: (q, d) float32 of norm 1.
        k: At least 1.
        passed: For each part a bitmap of the rows to pass over, the dead among them.
        helper: May take over half of the segments.
    """
    refine.stay_in_this_thread()
    found: list[list[Found]] = [[] for _ in queries]
    scans = {n: part.scan for n, part in enumerate(parts) if isinstance(part, Segment) and part.scan is not None}
    for rule in dict.fromkeys(scan.rule for scan in scans.values()):  # Only scores under one rule can be compared.
        alike = {n: scan for n, scan in scans.items() if scan.rule == rule}
        _scan(parts, alike, rule, queries, k, passed, helper, found)
    for n, part in enumerate(parts):
        if n in scans or not len(part):
            continue
        if isinstance(part, Tail):
            similarities, rows = part.nearest(queries, k, passed[n])
        else:
            similarities, rows = refine.nearest(queries, part.vectors, k, passed[n])
        for query in range(len(queries)):
            found[query].append(Found(n * PLACES + rows[query], similarities[query]))
    return [best(parts, each, k) for each in found]


def best(parts: Sequence[Part], found: Sequence[Found], k: int) -> tuple[Ids, NDArray[np.float32]]:
    """The best *k* of what was found in several parts, as numbers and cosines; equal ones by number."""
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.float32)
    places, similar = (np.concatenate(each) for each in zip(*((f.places, f.similarities) for f in found), strict=True))
    there = np.flatnonzero(similar > -np.inf)
    places, similar = places[there], np.clip(similar[there], -1, 1)
    numbers = np.empty(len(places), np.int64)
    part_of = places // PLACES
    for n in set(part_of.tolist()):
        mine = part_of == n
        numbers[mine] = parts[n].ids[places[mine] - n * PLACES]
    order = np.lexsort((numbers, -similar))
    numbers, similar = numbers[order], similar[order]
    if len(set(numbers.tolist())) < len(numbers):  # Somebody is being given a new vector at this moment.
        newest = np.lexsort((-places[order], numbers))
        first = np.ones(len(numbers), bool)
        first[newest[1:]] = numbers[newest[1:]] != numbers[newest[:-1]]
        numbers, similar = numbers[first], similar[first]
    return numbers[:k], similar[:k]


def located(parts: Sequence[Part], ids: Ids) -> tuple[NDArray[np.int64], Rows]:
    """The part and row of each face, (n,) int64 both; -1 for those that are not alive anywhere."""
    part_of, row_of = np.full(len(ids), -1, np.int64), np.full(len(ids), -1, np.int64)
    open_still = np.arange(len(ids))
    for n in range(len(parts) - 1, -1, -1):
        if not len(open_still):
            break
        if not len(parts[n]):
            continue
        rows = parts[n].rows_of(ids[open_still])
        here = rows >= 0
        part_of[open_still[here]], row_of[open_still[here]] = n, rows[here]
        open_still = open_still[~here]
    return part_of, row_of


def gathered(parts: Sequence[Part], part_of: NDArray[np.int64], row_of: Rows, dimension: int) -> Half:
    """The stored vectors of located faces, (n, d) float16; zeros where the part is -1."""
    vectors = np.zeros((len(part_of), dimension), np.float16)
    for n in np.unique(part_of):
        if n >= 0:
            mine = part_of == n
            vectors[mine] = parts[n].vectors[row_of[mine]]
    return vectors


def rows_in(part: Part, ids: Ids) -> Bits:
    """A bitmap of the rows of *ids* in a part."""
    bits = np.zeros(8 * len(part.tombstones.bits), np.uint8)
    rows = part.rows_of(ids) if len(part) else np.zeros(0, np.int64)
    bits[rows[rows >= 0]] = 1
    return np.packbits(bits, bitorder="little")


def _scan(
    parts: Sequence[Part],
    scans: Mapping[int, Scan],
    rule: Rule,
    queries: Vectors,
    k: int,
    passed: Sequence[Bits],
    helper: Helper,
    found: list[list[Found]],
) -> None:
    """Add to *found* the best rows of scanned segments: their candidates merged by score, then compared exactly."""
    base = max(rule.candidates(sum(parts[n].alive for n in scans), k), 1)  # Where all are dead, too.
    each = rule.from_each(base, len(scans))

    def candidates(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        scores, rows = scans[n].nearest(queries, each, passed[n])
        return scores, np.where(rows < 0, -1, rows + n * PLACES)

    results = helper.over(candidates, list(scans))
    scores = np.concatenate([scores for scores, _ in results], 1) if len(results) > 1 else results[0][0]
    places = np.concatenate([places for _, places in results], 1) if len(results) > 1 else results[0][1]
    for query in range(len(queries)):
        mine = places[query]
        if len(mine) > base:
            some = np.where(mine < 0, np.float32(-np.inf), scores[query])
            mine = mine[np.argpartition(some, -base)[-base:]]
        mine = np.sort(mine)  # In the order of the files: kinder to a cold disk, and what is missing comes first.
        mine = mine[int(np.searchsorted(mine, 0)) :]
        if len(mine):
            found[query].append(_compared(parts, mine, queries[query : query + 1], k))


def _compared(parts: Sequence[Part], places: NDArray[np.int64], query: Vectors, k: int) -> Found:
    """The best *k* of rows at *places*, in order, by exact similarity."""
    best, at = np.empty(0, np.float32), np.empty(0, np.int64)
    for first in range(0, len(places), refine.CHUNK):
        some = places[first : first + refine.CHUNK]
        scratch = refine.scratch(query.shape[1], len(some))
        start = 0
        while start < len(some):
            n = int(some[start]) // PLACES
            end = int(np.searchsorted(some, (n + 1) * PLACES))
            parts[n].vectors.take(some[start:end] - n * PLACES, 0, out=scratch.vectors[start:end], mode="clip")
            start = end
        similarities, rows = scratch.nearest(query, min(k, len(some)))
        best, at = np.append(best, similarities[0]), np.append(at, some[rows[0]])
    return Found(at, best)
