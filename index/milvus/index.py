"""The Milvus backend: the faces, or the templates, of one collection in one generation in a Milvus collection.

Milvus finds candidates; their similarities are computed here, in float32, from the vectors as stored. So a score is the
same number as the engine's, whatever index Milvus searches with, and a face that was removed meanwhile is not answered.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
from numpy.typing import NDArray

from index.milvus.cleansing import Cleansing
from index.milvus.server import MOST, Server
from index.protocol import Half, Hits, Ids, Vectors, validated
from services.errors import IndexUnavailable, InvalidRequest

_NAMED_AT_ONCE = 8192
"""Ids in one expression: about 100 KB of it."""
_BESIDE = 16
"""Candidates beyond those asked for: near ties may change places when they are computed here."""
_VECTORS_AT_ONCE = 16_384


def nothing_special(ids: Ids) -> NDArray[np.int64]:
    """Tags for rows of which nothing is to be remembered."""
    return np.zeros(len(ids), np.int64)


class MilvusIndex:
    """A :class:`index.protocol.VectorIndex`. Nothing of it is in this process but its number.

    *writes* is asked before each change. Where another searcher is the one that writes it says no, and the change only
    advances the number: it is in Milvus already, or the replica would not have come this far. *tagged* makes a number
    that is kept beside each vector.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        dimension: int,
        *,
        writes: Callable[[], bool] = lambda: True,
        tagged: Callable[[Ids], NDArray[np.int64]] = nothing_special,
    ) -> None:
        self.name = name
        self._server = server
        self._dimension = dimension
        self._writes = writes
        self._tagged = tagged
        self._cleansing = Cleansing(server, name)
        self._sequence = 0
        self._count = 0
        self._is_counted = False
        """Whether nothing has changed since: an idle collection is not counted over and over."""

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._dimension

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""
        return self._sequence

    @property
    def hot_bytes(self) -> int:
        """Nothing is kept here."""
        return 0

    @property
    def trouble(self) -> str:
        """Why Milvus does not answer; empty while it does."""
        return self._server.trouble

    @property
    def cleansed(self) -> int:
        """The last log entry up to which what was removed is in none of Milvus's segments, as far as this process has seen."""
        return self._cleansing.cleansed

    def hasten(self, sequence: int) -> None:
        """Have Milvus write its segments anew without what log entries up to *sequence* removed."""
        self._cleansing.hasten(sequence)

    def __len__(self) -> int:
        """How many faces a search looks among; while Milvus is away, as last counted."""
        if not self._is_counted:
            with contextlib.suppress(IndexUnavailable):
                self._count, self._is_counted = self._server.count(self.name), True
        return self._count

    def files(self) -> set[str]:
        """It keeps none."""
        return set()

    def add(self, ids: Sequence[int] | Ids, vectors: Vectors, *, sequence: int) -> None:
        """Make faces findable; see :class:`index.protocol.VectorIndex`.

        Raises:
            DimensionMismatch, InvalidVector: Nothing was written.
            IndexUnavailable, IndexBehind: Some may be written; the number stands where it was.
        """
        numbers = np.asarray(ids, np.int64)
        self._put(numbers, validated(vectors, self._dimension, rows=len(numbers)))
        self.advance(sequence)

    def remove(self, ids: Sequence[int] | Ids, *, sequence: int) -> None:
        """Make faces unfindable, at once and for every later search.

        Raises:
            IndexUnavailable, IndexBehind: Some may be removed; the number stands where it was.
        """
        if len(ids) and self._writes():
            self._is_counted = False
            self._server.delete(self.name, np.asarray(ids, np.int64))
        self.advance(sequence)

    def advance(self, sequence: int) -> None:
        """Note that the log was read up to *sequence* although nothing here changed."""
        self._is_counted = self._is_counted and sequence == self._sequence
        self._sequence = sequence

    def fill(self, blocks: Iterable[tuple[Ids, Half]], *, sequence: int) -> None:
        """Take in all of a collection; see :class:`index.protocol.VectorIndex`.

        Raises:
            IndexUnavailable, IndexBehind: It is not whole.
        """
        for ids, vectors in blocks:
            self._put(ids, vectors.astype(np.float32))
        self.advance(sequence)

    def settle(self) -> bool:
        """Milvus does by itself what lies between changes, unless something has to leave its files now.

        Raises:
            IndexUnavailable, IndexBehind: It is tried again.
        """
        return self._cleansing.is_wanted and self._writes() and self._cleansing.settle(self._sequence)

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The stored vectors of faces, as (n, d) float32; zeros for those that are not there."""
        return self._server.vectors(self.name, np.asarray(ids, np.int64), self._dimension)

    def similarities(self, query: Vectors, ids: Sequence[int] | Ids) -> NDArray[np.float32]:
        """The cosines of one query, (d,) float32, with faces, as (n,) float32; -inf for those that are not there."""
        return _similarities(query, self.vectors(ids))

    def search(
        self, queries: Vectors, k: int, *, exclude: AbstractSet[int] = frozenset(), among: Ids | None = None
    ) -> Hits:
        """The *k* most similar faces to each query; see :class:`index.protocol.VectorIndex`.

        As exact as Milvus's own search is: wholly with the index type FLAT. *among* leaves that as it is.

        Raises:
            DimensionMismatch, InvalidVector: The queries cannot be compared.
            InvalidRequest: More is asked for than Milvus can return at once.
            IndexUnavailable: Milvus does not answer.
        """
        asked = validated(queries, self._dimension, rows=len(queries))
        passed = np.fromiter(exclude, np.int64, len(exclude))
        if among is not None:
            among = np.setdiff1d(among, passed)
        wanted = k + (0 if among is not None else len(passed))
        if wanted > MOST and wanted < len(self) + len(passed):
            raise InvalidRequest(f"Milvus returns at most {MOST:,} hits; {wanted:,} would be needed.")
        candidates = self._candidates(asked, min(wanted + _BESIDE, MOST), among, enough=k)
        kept = [np.setdiff1d(ids, passed) for ids in candidates]
        hits = Hits(np.full((len(asked), k), -1, np.int64), np.full((len(asked), k), -np.inf, np.float32))
        for start in range(0, len(kept), max(1, _VECTORS_AT_ONCE // (wanted + _BESIDE))):
            some = slice(start, start + max(1, _VECTORS_AT_ONCE // (wanted + _BESIDE)))
            self._rank(asked[some], kept[some], Hits(hits.ids[some], hits.similarities[some]))
        return hits

    def _rank(self, queries: Vectors, candidates: Sequence[Ids], hits: Hits) -> None:
        """Write the best candidates of each query into the rows of *hits*."""
        distinct = np.unique(np.concatenate([np.zeros(0, np.int64), *candidates]))
        vectors = self.vectors(distinct)
        for row, (query, ids) in enumerate(zip(queries, candidates, strict=True)):
            similarities = _similarities(query, vectors[np.searchsorted(distinct, ids)])
            order = np.lexsort((ids, -similarities))[: hits.ids.shape[1]]
            order = order[np.isfinite(similarities[order])]  # Else it was removed since Milvus named it.
            hits.ids[row, : len(order)], hits.similarities[row, : len(order)] = ids[order], similarities[order]

    def _candidates(self, queries: Vectors, limit: int, among: Ids | None, *, enough: int) -> list[Ids]:
        """At least the nearest faces to each query, as Milvus finds them."""
        if among is None or not len(queries):
            return self._nearest(queries, limit, None)
        if len(among) > _NAMED_AT_ONCE:  # Too many to name: those that are nearest of all, if enough of them count.
            found = [ids[np.isin(ids, among)][:limit] for ids in self._nearest(queries, MOST, None)]
            if all(len(ids) >= enough for ids in found):
                return found
        parts: list[list[Ids]] = [[np.zeros(0, np.int64)] for _ in queries]
        for start in range(0, len(among), _NAMED_AT_ONCE):
            named = among[start : start + _NAMED_AT_ONCE].tolist()
            for part, ids in zip(parts, self._nearest(queries, limit, named), strict=True):
                part.append(ids)
        return [np.concatenate(part) for part in parts]

    def _nearest(self, queries: Vectors, limit: int, among: Sequence[int] | None) -> list[Ids]:
        found: list[Ids] = []
        at_once = max(1, 64 * 1024 // limit)
        for start in range(0, len(queries), at_once):
            found += self._server.nearest(self.name, queries[start : start + at_once], limit, among)
        return found

    def _put(self, ids: Ids, vectors: Vectors) -> None:
        if len(ids) and self._writes():
            self._is_counted = False
            self._server.put(self.name, ids, self._tagged(ids), vectors)


def _similarities(query: Vectors, vectors: Vectors) -> NDArray[np.float32]:
    found = np.where(vectors.any(1), np.clip(vectors @ query, -1, 1), -np.inf)
    return found.astype(np.float32)
