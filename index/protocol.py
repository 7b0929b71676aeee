"""The contracts of the index: what a backend answers, and what a follower needs from outside.

``index`` knows vectors, face numbers, person numbers and sequence numbers. It does not know names, photos, HTTP,
Celery or SQL.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.errors import DimensionMismatch, InvalidVector

Vectors = NDArray[np.float32]
"""(n, d) float32, rows of L2 norm 1."""

Half = NDArray[np.float16]
"""(n, d) float16, rows of norm 1 before they were rounded."""

Ids = NDArray[np.int64]
"""(n,) int64 face numbers, all positive."""

Reached = Callable[[str], None]
"""Told of each moment that is reached, so that a test can end the process there."""

_NORM_TOLERANCE = 2e-3  # float16 rounds each of 512 numbers by up to 2^-11 of itself.


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest faces to q queries, best first."""

    ids: NDArray[np.int64]
    """(q, k) int64 face numbers, -1 past the last face."""

    similarities: NDArray[np.float32]
    """(q, k) float32 cosines in [-1, 1], -inf past the last face."""


class VectorIndex(Protocol):
    """The faces of one collection in one generation, nearest first, as of one sequence number of its log.

    One writer, any number of readers; a search sees the index as it was when the search began. Every change is
    idempotent: adding a face that is there replaces its vector, removing one that is not there does nothing.
    """

    @property
    def dimension(self) -> int:
        """Length of the vectors."""

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""

    @property
    def hot_bytes(self) -> int:
        """What it keeps in this process's memory, roughly."""

    @property
    def trouble(self) -> str:
        """What does not work at the moment though searches are answered; empty where nothing is wrong."""

    @property
    def cleansed(self) -> int:
        """The last log entry up to which nothing that was removed is left in its files."""

    def __len__(self) -> int:
        """How many faces a search looks among."""

    def files(self) -> set[str]:
        """Names of the files that it uses; none where it keeps none. Called by the writer."""

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

    def fill(self, blocks: "Iterable[tuple[Ids, Half]]", *, sequence: int) -> None:
        """Take in all of a collection, before anything else is done to it.

        Args:
            blocks: Face numbers (n,), rising from block to block, and their vectors (n, d) float16.
            sequence: A log entry no younger than they are.
        """

    def settle(self) -> bool:
        """Do or begin what lies between changes: sealing, compaction. Called by the writer every now and then.

        Returns:
            Whether something is under way or waits to be done, so that it is worth calling again soon.
        """

    def hasten(self, sequence: int) -> None:
        """Have :meth:`settle` see to it that nothing removed up to log entry *sequence* is left in its files."""

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The stored vectors of faces, as (n, d) float32. Unknown or removed faces give rows of zeros."""

    def similarities(self, query: Vectors, ids: Sequence[int] | Ids) -> NDArray[np.float32]:
        """The cosines of one query, (d,) float32, with faces, as (n,) float32; -inf for unknown or removed ones."""

    def search(
        self, queries: Vectors, k: int, *, exclude: AbstractSet[int] = frozenset(), among: Ids | None = None
    ) -> Hits:
        """The *k* most similar faces to each query, best first.

        Args:
            queries: (q, d) float32, rows of L2 norm 1.
            k: At least 1. More than there are faces is fine.
            exclude: Face numbers to pass over, as if removed.
            among: Face numbers to look among, and no others; None looks among all.

        Raises:
            DimensionMismatch: *d* is not this index's.
            InvalidVector: A query is not finite or not of norm 1.
        """


def validated(vectors: Vectors, dimension: int, *, rows: int) -> Vectors:
    """*vectors* as C-contiguous (rows, dimension) float32.

    Raises:
        DimensionMismatch: They have another shape.
        InvalidVector: A row is not finite or not of norm 1.
    """
    array = np.ascontiguousarray(vectors, np.float32)
    if array.shape != (rows, dimension):
        raise DimensionMismatch(f"Vectors of shape ({rows}, {dimension}) were expected; these have {array.shape}.")
    norms = np.sqrt(np.einsum("nd,nd->n", array, array))
    if not np.all(near_1(norms)):
        worst = int(np.argmax(np.where(np.isfinite(norms), np.abs(norms - 1), np.inf)))
        raise InvalidVector(
            f"Vector {worst} has norm {norms[worst]:.4f}; only finite vectors of norm 1 can be compared."
        )
    return array


def unwatched(moment: str) -> None:
    """A :data:`Reached` that takes no notice."""
    del moment


def near_1(norms: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which norms are 1, as far as vectors rounded to float16 can be; those that are not a number are not."""
    near: NDArray[np.bool_] = np.abs(norms - 1) <= _NORM_TOLERANCE  # Not `>` and `not`: that lets NaN through.
    return near


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a collection's log, as a follower meets it.

    ``operation`` is ``add``, ``remove`` or ``assign``, of a face; or ``attributes``, of a person; any other only advances the
    number. ``vector`` is the face's float16 vector in the follower's generation, or None where it is not in it or its
    embedding was erased since: then the entry only advances the number, too. ``person`` is None for a face that belongs to nobody. ``attributes`` are what the person
    has now, whatever the operation; None where there is no person.
    """

    sequence: int
    operation: str
    face: int
    person: int | None
    vector: NDArray[np.float16] | None
    attributes: Mapping[str, str] | None = None


class Head(NamedTuple):
    """Where a collection's log stands. Another ``epoch`` means another history: throw the replica away."""

    epoch: str
    sequence: int


class Log(Protocol):
    """What a follower reads: a collection's ordered changes. The catalog satisfies it without knowing it."""

    def head(self, collection: int) -> Head | None:
        """Epoch and last sequence number of one collection, or None where it is gone."""

    def heads(self) -> dict[int, Head]:
        """The heads of all collections, in one query."""

    def entries(self, collection: int, generation: int, epoch: str, after: int, limit: int) -> list[Entry]:
        """At most *limit* entries of this *epoch* with a sequence number above *after*, in order.

        None at all where the collection has another epoch by now: two histories are never mixed.
        """

    def faces(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64], NDArray[np.float16]]]:
        """All faces of a generation, in batches: face numbers (n,), person numbers (n,) with 0 for nobody, vectors (n, d)."""

    def owners(self, collection: int, generation: int) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
        """All faces of a generation without their vectors: face numbers (n,), person numbers (n,) with 0 for nobody."""

    def attributes(self, collection: int) -> Iterator[tuple[int, Mapping[str, str]]]:
        """The attributes of all people who have any, by person number."""


class Shelf(Protocol):
    """Where the snapshots of one collection in one generation lie. Objects have names like paths.

    An object appears whole or not at all. Two may write at once: they write different names, or the same bytes.
    """

    def names(self) -> Iterator[tuple[str, float]]:
        """Every object's name and its age in seconds."""

    def put(self, name: str, file: Path) -> None:
        """Keep a file's bytes under *name*."""

    def get(self, name: str, file: Path) -> None:
        """Write an object's bytes to *file*.

        Raises:
            OSError: It is not there or cannot be had.
        """

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is fine."""
