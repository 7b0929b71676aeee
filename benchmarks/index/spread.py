"""How like the real faces the made ones are: cosines within and between persons, side by side."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.index.asked import Asked, Told
from benchmarks.index.galleries import SEED
from benchmarks.index.population import Population, fitted
from benchmarks.index.real import real_faces
from benchmarks.machine import Row
from index.protocol import Vectors

_BETWEEN_OF = 6000
_PERCENTILES = (1, 50, 99, 99.9, 99.99)


def told(asked: Asked) -> Told:
    """One photo of each real person between, all photos within; as many made ones."""
    del asked
    real = real_faces()
    chunk = Population(fitted(real), SEED + 1).chunk(0)
    held = {"lfw_dev": (real.vectors, real.people), "made": (chunk.vectors[:20_000], chunk.persons[:20_000])}
    rows = []
    for name, (vectors, people) in held.items():
        for what, cosines in (
            ("within persons", _within(vectors, people)),
            ("between persons", _between(vectors, people)),
        ):
            rows += [
                Row(f"{what}, {name}", "mean", float(cosines.mean())),
                Row(f"{what}, {name}", "sd", float(cosines.std())),
            ]
            rows += [
                Row(f"{what}, {name}", f"{each:g}%", float(level))
                for each, level in zip(_PERCENTILES, np.percentile(cosines, _PERCENTILES), strict=True)
            ]
    return Told(rows, [f"{len(real.vectors):,} photos of {len(np.unique(real.people)):,} people; persons weigh alike"])


def _within(vectors: Vectors, people: NDArray[np.int64], most: int = 4) -> NDArray[np.float32]:
    """Of pairs of each person's first few photos."""
    found = []
    for person in np.unique(people):
        mine = vectors[people == person][:most]
        found.append((mine @ mine.T)[np.triu_indices(len(mine), 1)])
    return np.concatenate(found)


def _between(vectors: Vectors, people: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of one photo each of two people."""
    one = vectors[np.unique(people, return_index=True)[1][:_BETWEEN_OF]]
    cosines: NDArray[np.float32] = (one @ one.T)[np.triu_indices(len(one), 1)]
    return cosines
