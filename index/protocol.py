"""The contracts of the index: what a backend answers, and what a follower needs from outside.

``index`` knows vectors, face numbers, person numbers and sequence numbers. It does not know names, photos, HTTP,
Celery or SQL.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""(n, d) float32, rows of L2 norm 1."""

Ids = NDArray[np.int64]
"""(n,) int64 face numbers, all positive."""


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest faces to q queries, best first."""

    ids: NDArray[np.int64]
    """(q, k) int64 face numbers, -1 past the last face."""

    similarities: NDArray[np.float32]
    """(q, k) float32 cosines in [-1, 1], -inf past the last face."""


class VectorIndex(Protocol):
    """The faces of one collection under one model, nearest first, as of one sequence number of its log.

    One writer, any number of readers; a search sees the index as it was when the search began. Every change is
    idempotent: adding a face that is there replaces its vector, removing one that is not there does nothing.
    """

    @property
    def dimension(self) -> int:
        """Length of the vectors."""

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""

    def __len__(self) -> int:
        """How many faces a search looks among."""

    def add(self, ids: Sequence[int] | Ids, vectors: Vectors, *, sequence: int) -> None:
        """Make faces findable.

        Args:
            ids: n distinct face numbers.
            vectors: (n, d) float32, rows of L2 norm 1.
            sequence: The last log entry that these faces come from.

        Raises:
            DimensionMismatch: *d* is not this index's. Nothing was written.
            InvalidVector: A row is not finite or not of norm 1. Nothing was written.
        """

    def remove(self, ids: Sequence[int] | Ids, *, sequence: int) -> None:
        """Make faces unfindable, at once and for every later search."""

    def advance(self, sequence: int) -> None:
        """Note that the log was read up to *sequence* although nothing here changed."""

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The stored vectors of faces, as (n, d) float32. Unknown or removed faces give rows of zeros."""

    def search(self, queries: Vectors, k: int, *, exclude: AbstractSet[int] = frozenset()) -> Hits:
        """The *k* most similar faces to each query, best first.

        Args:
            queries: (q, d) float32, rows of L2 norm 1.
            k: At least 1. More than there are faces is fine.
            exclude: Face numbers to pass over, as if removed.

        Raises:
            DimensionMismatch: *d* is not this index's.
        """


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a collection's log, as a follower meets it.

    ``operation`` is ``add``, ``remove`` or ``assign``. ``vector`` is the face's float16 vector under the follower's
    model, or None where the entry has none or its embedding was erased since: then it only advances the number.
    ``person`` is None for a face that belongs to nobody.
    """

    sequence: int
    operation: str
    face: int
    person: int | None
    vector: NDArray[np.float16] | None


@dataclass(frozen=True, slots=True)
class Head:
    """Where a collection's log stands. Another ``epoch`` means another history: throw the replica away."""

    epoch: str
    sequence: int


class Log(Protocol):
    """What a follower reads: a collection's ordered changes. The catalog satisfies it without knowing it."""

    def head(self, collection: int) -> Head | None:
        """Epoch and last sequence number of one collection, or None where it is gone."""

    def heads(self) -> dict[int, Head]:
        """The heads of all collections, in one query."""

    def entries(self, collection: int, model: int, after: int, limit: int) -> list[Entry]:
        """At most *limit* entries with a sequence number above *after*, in order."""

    def faces(self, collection: int, model: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """All embedded faces, in batches: face numbers (n,), person numbers (n,) with 0 for nobody, vectors (n, d)."""
