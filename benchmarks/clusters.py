"""Who looks alike: what the self-join costs, and how good the groups and pairs are that come of it.

The join is measured over faces that do not exist, spread as real ones are, with the real ones mixed in, on one core; the
comparison is a blocked float32 product of all with all. Groups are judged over ``lfw_dev`` by pairs of faces: how many of
those put together are one person (precision), how many of one person are together (recall). Thresholds are chosen on every
other person; the figures are of the rest.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.clusters join|groups|people [--json FILE] [--quick]
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from benchmarks import machine
from benchmarks.index.population import CHUNK, Population, fitted
from benchmarks.index.real import real_faces
from benchmarks.machine import Row
from index import grouping, pairs
from index.pairs import Pairs
from index.protocol import Half, Vectors
from index.templates import template
from services import thresholds
from services.gateway.reviewing import clusters
from workers.models import casia_webface

Labels = NDArray[np.int64]
Grouping = Callable[[Half, Pairs, float], Labels]

_SEED = 42
"""What the default thresholds were chosen on had 41."""
_MOST = 100_000_000
_BLOCK = 2048
_NEAR = 1e-5
_PEOPLE = (100, 300, 1000, 3000, 10_000)
_GRID = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75)
_ROUNDS = 20
_RATES = ("0.01", "0.001", "0.0001")


def main() -> None:
    """Measure the join, the groups, or the pairs of people."""
    made = machine.parser(__doc__)
    made.add_argument("part", choices=("join", "groups", "people"))
    asked = made.parse_args()
    told = machine.describe()
    machine.pin()
    table = json.loads(Path(casia_webface.__file__).with_name("casia_webface.json").read_text("utf-8"))
    if asked.part == "join":
        rows = _join(table, 20_000 if asked.quick else 100_000)
    elif asked.part == "groups":
        rows = _groups({f"FMR {rate}": float(table["fmr"][rate]) for rate in _RATES})
    else:
        rows = _people(table)
    notes = ["one thread on one core; CPU seconds", f"load before: {told['load']}"]
    machine.finish(rows, asked.json, machine=told, notes=notes)


def _join(table: dict[str, Any], faces: int) -> list[Row]:
    """What all pairs above some thresholds cost, exactly, what grouping them costs, and how good the groups are."""
    population = Population(fitted(real_faces()), _SEED)
    chunks = [population.chunk(number) for number in range(-(-faces // CHUNK))]
    vectors = np.concatenate([chunk.vectors for chunk in chunks])[:faces].astype(np.float16)
    people = np.concatenate([chunk.persons for chunk in chunks])[:faces]
    whole = [(0.75, vectors, people)]
    names = np.random.default_rng(_SEED).permutation(np.unique(people))
    for count in (*(count for count in _PEOPLE if count < len(names)), len(names)):
        mine = np.isin(people, names[:count])
        whole.append((_default(table, int(mine.sum())), vectors[mine], people[mine]))
    return [row for threshold, some, whose in whole for row in _joined(threshold, some, whose)]


def _joined(threshold: float, vectors: Half, people: Labels) -> Iterator[Row]:
    started = time.process_time()
    plain = _plain(vectors, threshold)
    compared = time.process_time()
    found = pairs.pairs_above(vectors, threshold, most=_MOST)
    joined = time.process_time()
    groups = grouping.grouped(vectors, found, threshold)
    grouped = time.process_time()
    precision, recall, both = _quality(_labels(groups, len(vectors)), people)
    case = f"{len(vectors):,} faces of {len(np.unique(people)):,} people, {threshold:.3f}"
    yield Row(case, "join, CPU s", joined - compared)
    yield Row(case, "plain product, CPU s", compared - started)
    yield Row(case, "pairs", float(len(found)))
    yield Row(case, "pairs that differ", float(len(plain ^ _keys(found.first, found.second, len(vectors)))))
    yield Row(case, "grouping, CPU s", grouped - joined)
    yield Row(case, "groups", float(len(groups)))
    yield Row(case, "precision %", 100 * precision)
    yield Row(case, "recall %", 100 * recall)
    yield Row(case, "F1 %", 100 * both)


def _plain(vectors: Half, threshold: float) -> set[int]:
    """All pairs by float32 products of all with all; those near the threshold once more in float64."""
    whole = vectors.astype(np.float32)
    found: set[int] = set()
    for top in range(0, len(whole), _BLOCK):
        for left in range(top, len(whole), _BLOCK):
            block = whole[top : top + _BLOCK] @ whole[left : left + _BLOCK].T
            row, column = np.divmod(np.flatnonzero(block >= threshold - _NEAR), block.shape[1])
            level = block[row, column].astype(np.float64)
            first, second = row + top, column + left
            near = np.abs(level - threshold) <= _NEAR
            exact = (vectors[first[near]].astype(np.float64), vectors[second[near]].astype(np.float64))
            level[near] = np.einsum("nd,nd->n", *exact)
            right = (second > first) & (level >= threshold)
            found |= _keys(first[right], second[right], len(whole))
    return found


def _keys(first: NDArray[Any], second: NDArray[Any], count: int) -> set[int]:
    keys: list[int] = (first.astype(np.int64) * count + second).tolist()
    return set(keys)


def _default(table: dict[str, Any], count: int) -> float:
    return thresholds.for_pairs(table, count, **clusters.CLUSTERS)


def _groups(at_rate: dict[str, float]) -> list[Row]:
    """Ways to make groups of pairs, each at the threshold that is best on the one half of the people."""
    real = real_faces()
    halves = [np.flatnonzero(np.unique(real.people, return_inverse=True)[1] % 2 == half) for half in (0, 1)]
    parts = [(real.vectors[half].astype(np.float16), real.people[half]) for half in halves]
    rows: list[Row] = []
    for name, way in WAYS.items():
        chosen = max(_GRID, key=lambda threshold: _judged(way, *parts[0], threshold)[2])
        rows += _rows(f"{name}, best threshold", _judged(way, *parts[1], chosen), chosen)
    for rate, threshold in at_rate.items():
        for half, part in zip(("half to choose", "other half"), parts, strict=True):
            rows += _rows(f"average linkage, {rate}, {half}", _judged(_average, *part, threshold), threshold)
    return rows


def _rows(case: str, quality: tuple[float, float, float], threshold: float) -> Iterable[Row]:
    yield Row(case, "threshold", threshold)
    for metric, value in zip(("precision %", "recall %", "F1 %"), quality, strict=True):
        yield Row(case, metric, 100 * value)


def _people(table: dict[str, Any]) -> list[Row]:
    """Everybody with two photos enrolled under two names: how many are found, and how many others beside them."""
    real = real_faces()
    random = np.random.default_rng(_SEED)
    templates: list[Vectors] = []
    people: list[int] = []
    for person in np.unique(real.people):
        mine = random.permutation(np.flatnonzero(real.people == person))
        for part in np.array_split(mine, 2) if len(mine) > 1 else [mine]:
            templates.append(template(real.vectors[part]))
            people.append(int(person))
    whose, vectors = np.array(people), np.stack(templates).astype(np.float16)
    names = Counter(people)
    rows: list[Row] = []
    levels = {f"FMR {rate}": float(table["fmr"][rate]) for rate in _RATES}
    levels["default"] = thresholds.for_pairs(table, len(whose), **clusters.ALIKE)
    for rate, threshold in levels.items():
        found = pairs.pairs_above(vectors, threshold, most=_MOST)
        same = whose[found.first] == whose[found.second]
        case = f"{len(whose)} names, {rate}"
        rows += [
            Row(case, "threshold", threshold),
            Row(case, "found of people with two names, %", 100 * same.sum() / sum(n > 1 for n in names.values())),
            Row(case, "pairs of two people", float((~same).sum())),
        ]
    return rows


def _judged(way: Grouping, vectors: Half, people: Labels, threshold: float) -> tuple[float, float, float]:
    return _quality(way(vectors, pairs.pairs_above(vectors, threshold, most=_MOST), threshold), people)


def _quality(groups: Labels, people: Labels) -> tuple[float, float, float]:
    """Precision, recall and F1 over pairs of faces."""

    def together(labels: Iterable[object]) -> float:
        return sum(n * (n - 1) / 2 for n in Counter(labels).values())

    right = together(zip(groups.tolist(), people.tolist(), strict=True))
    precision, recall = right / max(together(groups.tolist()), 1), right / max(together(people.tolist()), 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def _labels(groups: grouping.Groups, faces: int) -> Labels:
    """The group of each face, as its first member's number; its own where it is in none."""
    labels = np.arange(faces)
    labels[groups.members] = np.repeat(groups.members[groups.starts[:-1]], np.diff(groups.starts))
    return labels


def _average(vectors: Half, found: Pairs, threshold: float) -> Labels:
    return _labels(grouping.grouped(vectors, found, threshold), len(vectors))


def _complete(vectors: Half, found: Pairs, threshold: float) -> Labels:
    del found
    apart = 1 - vectors.astype(np.float64) @ vectors.astype(np.float64).T
    joined = linkage(np.maximum(apart[np.triu_indices(len(vectors), 1)], 0), "complete")
    return np.asarray(fcluster(joined, 1 - threshold, "distance"), np.int64)


def _components(vectors: Half, found: Pairs, threshold: float) -> Labels:
    del threshold
    shape = (len(vectors), len(vectors))
    edges = coo_matrix((np.ones(len(found)), (found.first, found.second)), shape)
    return np.asarray(connected_components(edges, directed=False)[1], np.int64)


def _stars(vectors: Half, found: Pairs, threshold: float) -> Labels:
    """Again and again the face with most neighbours that are in no group yet, and they."""
    del threshold
    beside = _neighbours(found, len(vectors))
    free, left = np.ones(len(vectors), bool), np.array([len(each) for each in beside])
    labels = np.arange(len(vectors))
    while free.any():
        centre = int(np.argmax(np.where(free, left, -1)))
        for member in [centre, *(face for face in beside[centre] if free[face])]:
            labels[member], free[member] = centre, False
            for face in beside[member]:
                left[face] -= 1
    return labels


def _whispers(vectors: Half, found: Pairs, threshold: float) -> Labels:
    """Chinese whispers, as dlib has it: each face takes the label that weighs most among its neighbours."""
    del threshold
    beside = _neighbours(found, len(vectors))
    random, labels = np.random.default_rng(_SEED), np.arange(len(vectors))
    for _ in range(_ROUNDS):
        for face in random.permutation(len(vectors)):
            weights: dict[int, float] = {}
            for other, similarity in beside[face].items():
                label = int(labels[other])
                weights[label] = weights.get(label, 0) + similarity
            if weights:
                labels[face] = max(weights, key=lambda label: (weights[label], -label))
    return labels


def _neighbours(found: Pairs, faces: int) -> list[dict[int, float]]:
    beside: list[dict[int, float]] = [{} for _ in range(faces)]
    listed = zip(found.first.tolist(), found.second.tolist(), found.similarities.tolist(), strict=True)
    for first, second, similarity in listed:
        beside[first][second] = beside[second][first] = similarity
    return beside


WAYS: dict[str, Grouping] = {
    "components": _components,
    "stars": _stars,
    "Chinese whispers": _whispers,
    "complete linkage": _complete,
    "average linkage": _average,
}


if __name__ == "__main__":
    main()
