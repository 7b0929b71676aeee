"""Templates: one vector a person, the renormalised mean of their faces' vectors.

A person's score is the cosine of the query with their template: measured better than the best face (docs/evaluation.md,
"Score"). Templates are an index of their own, so the nearest persons are found as the nearest faces would be: one person's
500 photos take one place.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from index.owners import NOBODY, Owners, Persons
from index.protocol import Half, Ids, VectorIndex, Vectors

_FACES_AT_ONCE = 16_384


def template(vectors: Vectors) -> Vectors:
    """The template of a person with these faces: (n, d) float32 of norm 1, n at least 1; as (d,) float32 of norm 1.

    Faces that cancel each other out have no mean direction; the first one stands for them.
    """
    made: Vectors = _means(vectors, np.array([0, len(vectors)]))[0]
    return made


def templates(vectors: Vectors, persons: Persons) -> tuple[Persons, Vectors]:
    """The templates of everybody in a set of faces that lie in memory, as evaluation has them.

    Args:
        vectors: (n, d) float32 of norm 1, in any order, n at least 1.
        persons: (n,) int64: whose face each row is. Any number is a person here, :data:`NOBODY`'s too.

    Returns:
        The persons, rising, and (persons, d) float32 of norm 1.
    """
    order = np.argsort(persons, kind="stable")
    people, starts = np.unique(persons[order], return_index=True)
    return people, _means(vectors[order], np.append(starts, len(order)))


def all_templates(owners: Owners, faces: VectorIndex) -> Iterator[tuple[Ids, Half]]:
    """The templates of everybody, in the order of their numbers: blocks of persons (n,) and templates (n, d) float16."""
    numbers, people, starts = owners.by_person()
    first = int(np.searchsorted(people, NOBODY, "right"))
    while first < len(people):
        last = int(np.searchsorted(starts, starts[first] + _FACES_AT_ONCE, "right")) - 1
        last = min(max(last, first + 1), len(people))
        vectors = faces.vectors(numbers[starts[first] : starts[last]])
        means = _means(vectors, starts[first : last + 1] - starts[first])
        yield people[first:last].astype(np.int64), means.astype(np.float16)
        first = last


def _means(vectors: Vectors, starts: NDArray[np.integer]) -> Vectors:
    """The templates of persons whose faces begin at *starts*, the end last; none is without faces."""
    sums = np.empty((len(starts) - 1, vectors.shape[1]), np.float32)
    for person, (start, end) in enumerate(pairwise(starts.tolist())):  # NumPy's reduceat takes four times as long.
        np.add.reduce(vectors[start:end], axis=0, out=sums[person])
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    alike = norms[:, 0] > 1e-3 * np.diff(starts)
    means: Vectors = np.where(alike[:, None], sums / np.maximum(norms, 1e-30), vectors[starts[:-1]])
    return means
