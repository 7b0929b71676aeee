"""Ranking: the persons that are nearest to a face, each with the evidence.

A person's score is the cosine of the query with their template (:mod:`index.templates`). Search, verification against a
person, calibration and evaluation all use it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from index.protocol import Vectors, validated
from index.replica import Replica


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of the nearest persons."""

    person: int
    similarity: float
    """The person's score, in [-1, 1]."""
    face: int
    """Their most similar face: the evidence."""
    face_similarity: float


def rank(replica: Replica, queries: Vectors, k: int, *, where: Mapping[str, str] | None = None) -> list[list[Ranked]]:
    """The *k* nearest persons to each query, best first; fewer where there are fewer. Faces of nobody never count.

    Args:
        replica: What is searched.
        queries: (q, d) float32, rows of norm 1.
        k: At least 1.
        where: Look only among people whose attributes have these values.

    Raises:
        DimensionMismatch, InvalidVector: A query cannot be compared.
    """
    among = replica.attributes.matching(where) if where else None
    hits = replica.templates.search(queries, k, among=among)
    return [_with_evidence(replica, query, hits.ids[row], hits.similarities[row]) for row, query in enumerate(queries)]


def score(replica: Replica, query: Vectors, persons: Sequence[int]) -> list[Ranked]:
    """The scores of *persons* for one query, (d,) float32, best first; persons without faces are left out.

    Raises:
        DimensionMismatch, InvalidVector: The query cannot be compared.
    """
    query = validated(query[None], replica.templates.dimension, rows=1)[0]
    asked = np.asarray(persons, np.int64)
    similarities = replica.templates.similarities(query, asked)
    order = np.lexsort((asked, -similarities))
    return _with_evidence(replica, query, asked[order], similarities[order])


def _with_evidence(
    replica: Replica, query: Vectors, persons: "np.ndarray[tuple[int], np.dtype[np.int64]]", similarities: Vectors
) -> list[Ranked]:
    """Ranked persons with their most similar faces; who lost all of them this moment is left out."""
    known = [
        (person, similarity, faces)
        for person, similarity in zip(persons.tolist(), similarities.tolist(), strict=True)
        if person > 0 and np.isfinite(similarity) and (faces := replica.owners.faces_of(person))
    ]
    if not known:
        return []
    compared = replica.faces.similarities(query, [face for _, _, faces in known for face in faces])
    ranked, start = [], 0
    for person, similarity, faces in known:
        mine = compared[start : start + len(faces)]
        start += len(faces)
        best = int(np.argmax(mine))
        if np.isfinite(mine[best]):
            ranked.append(Ranked(person, similarity, faces[best], float(mine[best])))
    return ranked
