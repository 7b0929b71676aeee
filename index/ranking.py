"""Ranking: from faces to the persons that are certainly the nearest.

A person's score is the cosine of the query with their template, the renormalised mean of their faces' vectors: measured
one to two points better than the best face (docs/evaluation.md). It is exact. A person without a face among the *M*
nearest has every similarity at most that of the *M*-th, s, so the mean of them is at most s, and the score at most
s / r, where r is the norm of the mean of that person's vectors. *M* grows until the *k*-th score is above that bound.
Persons whose faces differ most (the smallest r) are scored always, so that one of them does not loosen the bound for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.protocol import Vectors
from index.replica import NOBODY, Replica

_ALWAYS_SCORED = 32
_FIRST_FACES = 256


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of the nearest persons."""

    person: int
    similarity: float
    """The person's score, in [-1, 1]."""
    face: int
    """Their most similar face: the evidence."""
    face_similarity: float


def rank(replica: Replica, queries: Vectors, k: int) -> list[list[Ranked]]:
    """The *k* nearest persons to each query, best first; fewer where there are fewer. Faces of nobody never count.

    Args:
        replica: What is searched.
        queries: (q, d) float32, rows of norm 1.
        k: At least 1.

    Raises:
        DimensionMismatch, InvalidVector: A query cannot be compared.
    """
    answers: list[list[Ranked]] = [[] for _ in queries]
    wide, narrowest = replica.widest(_ALWAYS_SCORED)
    asked = list(range(len(queries)))
    faces = max(_FIRST_FACES, 4 * k)
    while asked:
        hits = replica.index.search(queries[asked], faces)
        everything = faces >= len(replica)
        open_still = []
        for row, query in enumerate(asked):
            near = [int(face) for face in hits.ids[row] if face >= 0]
            persons = {replica.person_of(face) for face in near} | set(wide)
            ranked = score(replica, queries[query], sorted(persons - {NOBODY}))[:k]
            if everything or _is_certain(ranked, k, float(hits.similarities[row, -1]), narrowest):
                answers[query] = ranked
            else:
                open_still.append(query)
        asked, faces = open_still, faces * 4
    return answers


def score(replica: Replica, query: Vectors, persons: Sequence[int]) -> list[Ranked]:
    """The scores of *persons* for one query, (d,) float32, best first; persons without faces are left out."""
    known = [person for person in persons if replica.faces_of(person)]
    if not known:
        return []
    faces = [face for person in known for face in replica.faces_of(person)]
    counts = np.array([len(replica.faces_of(person)) for person in known])
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    vectors = replica.index.vectors(faces)
    similarities = vectors @ query
    totals = np.add.reduceat(vectors, starts, axis=0)
    norms = np.maximum(np.linalg.norm(totals, axis=1), np.finfo(np.float32).tiny)
    scores = np.clip(np.add.reduceat(similarities, starts) / norms, -1, 1)
    found = []
    for person, start, count, total in zip(known, starts, counts, scores, strict=True):
        best = start + int(np.argmax(similarities[start : start + count]))
        found.append(Ranked(person, float(total), faces[best], float(np.clip(similarities[best], -1, 1))))
    return sorted(found, key=lambda ranked: (-ranked.similarity, ranked.person))


def _is_certain(ranked: Sequence[Ranked], k: int, last_similarity: float, narrowest: float) -> bool:
    if len(ranked) < k:
        return False
    bound = last_similarity / narrowest if last_similarity > 0 else last_similarity
    return ranked[-1].similarity > bound + 1e-5
