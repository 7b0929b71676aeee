"""Doubtful faces: how many photos under a wrong name are found, and how many right ones are doubted beside them.

Real faces, ``lfw_dev``. In every round 5 % of the photos of people with three or more are put under a wrong name: half of them are
swapped between two people, at most one a person; half are replaced by somebody's who is not enrolled. The rule is chosen on every
other person; the figures are of the rest. What it costs is measured over faces that do not exist, on one core.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.doubts [--json FILE] [--quick]
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.index.population import Population, fitted
from benchmarks.index.real import RealFaces, real_faces
from benchmarks.machine import Row
from index.doubts import MARGIN, doubts
from index.protocol import Vectors
from services import thresholds
from services.gateway.reviewing.doubtful import UNLIKE
from workers.models import casia_webface

_SEED = 42
_SHARE = 0.05
_LEAST = 3
_LEVELS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55)
_MARGINS = (0.0, 0.05, 0.10)
_WRONGLY = 0.01
"""At most so many right photos are doubted by the rule that is chosen."""
_ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Gallery:
    """Faces by person, some of them under a wrong name."""

    vectors: Vectors
    starts: NDArray[np.int64]
    swapped: NDArray[np.bool_]
    strange: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule comes to, in shares."""

    swapped: float
    strange: float
    wrongly: float
    """Of the right photos of people with three or more."""
    wrongly_of_two: float
    """Of the photos of people with two."""

    @property
    def missed(self) -> float:
        """Of both kinds."""
        return 2 - self.swapped - self.strange


def main() -> None:
    """Choose the rule on one half of the people, measure it on the other, and what it costs."""
    asked = machine.parser(__doc__).parse_args()
    told = machine.describe()
    machine.pin()
    table = json.loads(Path(casia_webface.__file__).with_name("casia_webface.json").read_text("utf-8"))
    level = thresholds.for_pairs(table, 1, **UNLIKE)
    real = real_faces()
    rounds = 3 if asked.quick else 40
    halves = [_galleries(real, half, rounds) for half in (0, 1)]
    rules = [(low, margin) for low in (*_LEVELS, level) for margin in _MARGINS]
    judged = {rule: _judged(halves[0], *rule) for rule in rules}
    fine = [rule for rule in rules if judged[rule].wrongly <= _WRONGLY] or rules
    best = min(fine, key=lambda rule: (judged[rule].missed, judged[rule].wrongly))
    rows = [*_rows("half to choose, best rule", *best, judged[best])]
    rows += _rows("other half, best rule", *best, _judged(halves[1], *best))
    for name, half in (("half to choose", halves[0]), ("other half", halves[1])):
        rows += _rows(f"{name}, default rule", level, MARGIN, _judged(half, level, MARGIN))
    rows += _cost(real, level, 5_000 if asked.quick else 49_000)
    notes = [
        f"{rounds} rounds of {_SHARE:.0%} photos under a wrong name; one thread on one core, CPU seconds",
        f"load before: {told['load']}",
    ]
    machine.finish(rows, asked.json, machine=told, notes=notes)


def _galleries(real: RealFaces, half: int, rounds: int) -> list[Gallery]:
    """Every other person enrolled, the rest being strangers."""
    people = np.unique(real.people, return_inverse=True)[1]
    mine = people % 2 == half
    return [
        _gallery(real.vectors[mine], people[mine], real.vectors[~mine], np.random.default_rng((_SEED, half, number)))
        for number in range(rounds)
    ]


def _gallery(vectors: Vectors, people: NDArray[np.int64], strangers: Vectors, random: np.random.Generator) -> Gallery:
    order = np.argsort(people, kind="stable")
    vectors = vectors[order].copy()
    _, starts, sizes = np.unique(people[order], return_index=True, return_counts=True)
    many = random.permutation(np.flatnonzero(sizes >= _LEAST))
    chosen = starts[many] + random.integers(sizes[many])
    count = max(int(_SHARE * sizes[many].sum() / 4), 1)
    one, other, gone = chosen[:count], chosen[count : 2 * count], chosen[2 * count : 4 * count]
    vectors[one], vectors[other] = vectors[other].copy(), vectors[one].copy()
    vectors[gone] = strangers[random.choice(len(strangers), len(gone), replace=False)]
    swapped, strange = np.zeros(len(vectors), bool), np.zeros(len(vectors), bool)
    swapped[one] = swapped[other] = strange[gone] = True
    return Gallery(vectors, np.append(starts, len(vectors)), swapped, strange)


def _judged(galleries: list[Gallery], level: float, margin: float) -> Found:
    """The rule over all rounds."""
    parts = []
    for each in galleries:
        told = np.zeros(len(each.vectors), bool)
        told[doubts(each.vectors.astype(np.float16), each.starts, level, most=_ALL, margin=margin).faces] = True
        sizes = np.repeat(np.diff(each.starts), np.diff(each.starts))
        right = ~each.swapped & ~each.strange
        groups = (each.swapped, each.strange, right & (sizes >= _LEAST), right & (sizes == 2))
        parts.append([(told[group].sum(), group.sum()) for group in groups])
    found, whole = np.array(parts).sum(0).T
    shares = (found / np.maximum(whole, 1)).tolist()
    return Found(*shares)


def _rows(case: str, level: float, margin: float, found: Found) -> Iterator[Row]:
    yield Row(case, "doubted below", level)
    yield Row(case, "margin", margin)
    yield Row(case, "swapped found %", 100 * found.swapped)
    yield Row(case, "strangers found %", 100 * found.strange)
    yield Row(case, "right ones doubted %", 100 * found.wrongly)
    yield Row(case, "of two photos doubted %", 100 * found.wrongly_of_two)


def _cost(real: RealFaces, level: float, faces: int) -> list[Row]:
    chunk = Population(fitted(real), _SEED).chunk(0)
    order = np.argsort(chunk.persons[:faces], kind="stable")
    starts = np.unique(chunk.persons[:faces][order], return_index=True)[1]
    vectors = chunk.vectors[:faces][order].astype(np.float16)
    started = time.process_time()
    doubted = doubts(vectors, np.append(starts, faces), level, most=_ALL)
    took_s = time.process_time() - started
    case = f"{faces:,} made faces of {len(starts):,} people"
    return [Row(case, "right ones doubted %", 100 * len(doubted) / faces), Row(case, "CPU s", took_s)]


if __name__ == "__main__":
    main()
