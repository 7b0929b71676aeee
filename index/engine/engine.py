"""The engine: a log-structured index of one collection in one generation, in memory and in a folder of its own.

New faces go to a *tail* that is searched exactly. A full tail is frozen and *sealed* into a segment; small segments and
those with many dead are merged (*compaction*). Both are done elsewhere, by a :class:`index.engine.sealing.Sealer`, and
taken in by the writer between two changes, with what was removed meanwhile. Readers hold one immutable list of parts,
so a search never waits for a writer, and nothing that FAISS searches is ever changed (it crashes).

An index that is only looked up by number (the faces of a replica) never gets codes: they are made for the first search.
"""

import secrets
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.engine import compaction, looking, merging, refine
from index.engine.compaction import Sizes
from index.engine.device import Device, Processor
from index.engine.image import Image
from index.engine.looking import Helper, Part
from index.engine.sealing import Sealer
from index.engine.segment import CODES, IDS, VECTORS, Keeping, Segment
from index.engine.settling import Settling
from index.engine.tail import Tail
from index.engine.tombstones import Bits
from index.halves import widened
from index.protocol import Half, Hits, Ids, Reached, Vectors, unwatched, validated

_FEW = 4096
"""So many faces to look among are compared one by one."""


class Engine:
    """A :class:`index.protocol.VectorIndex`. One thread changes and settles it; any number search it meanwhile."""

    def __init__(
        self,
        dimension: int,
        folder: Path,
        sealer: Sealer,
        *,
        helper: Helper | None = None,
        keeping: Keeping = "mapped",
        sizes: Sizes | None = None,
        device: Device | None = None,
        reached: Reached = unwatched,
    ) -> None:
        self._dimension = dimension
        self._folder = folder
        self._helper = helper or Helper()
        self._keeping: Keeping = keeping
        device = device or Processor()
        self._sizes = sizes or device.sizes
        self._reached = reached
        self._settling = Settling(folder, dimension, sealer, self._sizes, device, self._open, reached)
        self._parts: tuple[Part, ...] = (Tail(dimension, self._sizes.tail),)
        """Oldest first; the last is the tail that takes new faces."""
        self._sequence, self._before = 0, 0
        self._is_searched = False

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return self._dimension

    @property
    def sequence(self) -> int:
        """The last log entry that every search from now on reflects."""
        return self._sequence

    def __len__(self) -> int:
        return sum(part.alive for part in self._parts)

    @property
    def cleansed(self) -> int:
        """The last log entry up to which nothing that was removed is left in its files."""
        written = (*(part for part in self._parts if isinstance(part, Segment)), *self._settling.parts())
        left = [part.tombstones.since - 1 for part in written if part.tombstones.since is not None]
        return min(left, default=self._sequence)

    def hasten(self, sequence: int) -> None:
        """Have :meth:`settle` write anew every segment with a row that a log entry up to *sequence* removed."""
        self._settling.hasten(sequence)

    @property
    def parts(self) -> Sequence[Part]:
        """What it consists of now, oldest first."""
        return self._parts

    @property
    def hot_bytes(self) -> int:
        """What it keeps in memory beside mapped vectors, roughly."""
        total = 0
        for part in self._parts:
            if isinstance(part, Tail):
                total += part.vectors.nbytes + part.ids.nbytes
            else:
                total += part.ids.nbytes + (part.scan.hot_bytes if part.scan is not None else 0)
                total += part.vectors.nbytes if self._keeping == "memory" else 0
        return total

    def add(self, ids: Sequence[int] | Ids, vectors: Vectors, *, sequence: int) -> None:
        """Make faces findable; see :class:`index.protocol.VectorIndex`.

        Raises:
            DimensionMismatch, InvalidVector: Nothing was written.
        """
        numbers = np.asarray(ids, np.int64)
        rounded = validated(vectors, self._dimension, rows=len(numbers)).astype(np.float16)
        start = 0
        while start < len(numbers):
            tail = self._tail_with_room()
            some = slice(start, start + tail.room)
            self._replace(numbers[some], rounded[some], tail, self._since(sequence))
            start = some.stop
        self.advance(sequence)

    def remove(self, ids: Sequence[int] | Ids, *, sequence: int) -> None:
        """Make faces unfindable, at once and for every later search."""
        self._bury(*looking.located(self._parts, np.asarray(ids, np.int64)), self._since(sequence))
        self.advance(sequence)

    def advance(self, sequence: int) -> None:
        """Note that the log was read up to *sequence* although nothing here changed."""
        if sequence != self._sequence:
            self._sequence, self._before = sequence, self._sequence

    def fill(self, blocks: Iterable[tuple[Ids, Half]], *, sequence: int) -> None:
        """Take in a whole collection, in segments; see :class:`index.protocol.VectorIndex`.

        Raises:
            OSError: The folder cannot be written.
        """
        segments: list[Part] = []
        for ids, vectors in compaction.cut(blocks, self._sizes.segment):
            if sum(len(part) for part in vectors) <= self._sizes.tail:
                numbers, rows = np.concatenate(ids), np.concatenate(vectors)
                tail = Tail(self._dimension, self._sizes.tail)
                tail.append(numbers, rows)
                self._parts = (*segments, tail)
                break
            name = secrets.token_hex(8)
            merging.write(self._folder / f"{name}{VECTORS}", [part.astype("<f2", copy=False) for part in vectors])
            merging.write(self._folder / f"{name}{IDS}", [part.astype("<i8", copy=False) for part in ids])
            segments.append(self._open(name))
        else:
            self._parts = (*segments, Tail(self._dimension, self._sizes.tail))
        self._sequence = self._before = sequence
        if self._is_searched:
            self.prepare()

    def vectors(self, ids: Sequence[int] | Ids) -> Vectors:
        """The stored vectors of faces, as (n, d) float32; zeros for those that are not there."""
        return widened(looking.gathered(*self._located(np.asarray(ids, np.int64)), self._dimension))

    def similarities(self, query: Vectors, ids: Sequence[int] | Ids) -> NDArray[np.float32]:
        """The cosines of one query, (d,) float32, with faces, as (n,) float32; -inf for those that are not there."""
        parts, part_of, row_of = self._located(np.asarray(ids, np.int64))
        found = refine.similarities(query, looking.gathered(parts, part_of, row_of, self._dimension))
        return np.where(part_of < 0, -np.inf, np.clip(found, -1, 1)).astype(np.float32)

    def search(
        self, queries: Vectors, k: int, *, exclude: AbstractSet[int] = frozenset(), among: Ids | None = None
    ) -> Hits:
        """The *k* most similar faces to each query; see :class:`index.protocol.VectorIndex`.

        Raises:
            DimensionMismatch, InvalidVector: The queries cannot be compared.
        """
        asked = validated(queries, self._dimension, rows=len(queries))
        self._is_searched = True
        if among is not None:
            among = np.setdiff1d(among, np.fromiter(exclude, np.int64, len(exclude)))
        if among is not None and len(among) <= _FEW:
            found = self._compared(asked, k, among)
        else:
            parts, passed = self._view()
            if among is not None:
                passed = [bits | ~looking.rows_in(part, among) for part, bits in zip(parts, passed, strict=True)]
            found = looking.nearest(parts, asked, k + len(exclude), passed, self._helper)
        hits = Hits(np.full((len(asked), k), -1, np.int64), np.full((len(asked), k), -np.inf, np.float32))
        for row, (ids, similarities) in enumerate(found):
            kept = np.flatnonzero(~np.isin(ids, list(exclude)))[:k] if exclude else np.arange(min(k, len(ids)))
            hits.ids[row, : len(kept)], hits.similarities[row, : len(kept)] = ids[kept], similarities[kept]
        return hits

    @property
    def trouble(self) -> str:
        """Why sealing failed last, while it has not succeeded since; the faces concerned are compared exactly."""
        return self._settling.trouble

    def prepare(self) -> None:
        """Have segments ready to be scanned before the first search comes, those of now and of later.

        Those of which codes must be made first are ready some calls of :meth:`settle` later.

        Raises:
            Unavailable: The device has no room for them.
        """
        self._is_searched = True
        self._settling.prepare(self._parts)

    def settle(self) -> bool:
        """Take in what was sealed and merged, and have the next begun; see :class:`index.protocol.VectorIndex`."""
        self._parts, is_busy = self._settling.settle(self._parts, sequence=self._sequence, scanned=self._is_searched)
        return is_busy

    def image(self) -> Image:
        """All of it at this moment. Called by the writer."""
        return Image.of(self._parts, self._sequence)

    def restore(self, image: Image) -> None:
        """Become what an image says; the segments' files are in the folder.

        Raises:
            OSError, ValueError: A file is missing or of another size.
        """
        segments = tuple(self._open(name, dead) for name, dead in image.segments)
        self._parts = (*segments, Tail(self._dimension, self._sizes.tail))
        start = 0
        while start < len(image.ids):
            tail = self._tail_with_room()
            some = slice(start, start + tail.room)
            tail.append(image.ids[some], image.vectors[some])
            start = some.stop
        self._sequence = self._before = image.sequence
        if self._is_searched:
            self.prepare()

    def files(self) -> set[str]:
        """Names of the files that it uses or is about to. Called by the writer."""
        names = {part.name for part in self._parts if isinstance(part, Segment)} | self._settling.names()
        return {f"{name}{kind}" for name in names for kind in (IDS, VECTORS, CODES)}

    def _view(self) -> tuple[Sequence[Part], list[Bits]]:
        """The parts and their dead, of one moment.

        A new vector is there before the old one dies: whatever a search meets of the two, it meets one. So no part may
        have been begun between the reading of the parts and that of the dead.
        """
        while True:
            parts = self._parts
            dead = [part.tombstones.copied() for part in parts]
            if self._parts is parts:
                return parts, dead

    def _located(self, ids: Ids) -> tuple[Sequence[Part], NDArray[np.int64], NDArray[np.int64]]:
        """The parts, and the part and row of each face; looked for again where one seems to have gone meanwhile."""
        parts = self._parts
        part_of, row_of = looking.located(parts, ids)
        if np.any(part_of < 0):
            parts = self._parts
            part_of, row_of = looking.located(parts, ids)
        return parts, part_of, row_of

    def _compared(self, queries: Vectors, k: int, among: Ids) -> list[tuple[Ids, NDArray[np.float32]]]:
        """Few faces, one by one."""
        parts, part_of, row_of = self._located(among)
        part_of, row_of = part_of[part_of >= 0], row_of[part_of >= 0]
        vectors = looking.gathered(parts, part_of, row_of, self._dimension)
        places = part_of * looking.PLACES + row_of
        each = (looking.Found(places, refine.similarities(query, vectors)) for query in queries)
        return [looking.best(parts, [found], k) for found in each]

    def _tail(self) -> Tail:
        tail = self._parts[-1]
        assert isinstance(tail, Tail)
        return tail

    def _tail_with_room(self) -> Tail:
        """The tail, after a new one was begun where it is full."""
        if not self._tail().room:
            self._parts = (*self._parts, Tail(self._dimension, self._sizes.tail))
        return self._tail()

    def _since(self, sequence: int) -> int:
        """The first log entry of those up to *sequence* that are being applied: others of them may have been before."""
        return (self._before if sequence == self._sequence else self._sequence) + 1

    def _replace(self, ids: Ids, vectors: Half, tail: Tail, since: int) -> None:
        """Write rows, then bury what they replace: a search meets the old or the new, or both and takes the new."""
        before = looking.located(self._parts, ids)
        tail.append(ids, vectors)
        self._reached("rows written")
        self._bury(*before, since)

    def _bury(self, part_of: NDArray[np.int64], row_of: NDArray[np.int64], since: int) -> None:
        for part, row in zip(part_of.tolist(), row_of.tolist(), strict=True):
            if part >= 0:
                self._parts[part].bury(row, since)
                self._reached("row buried")

    def _open(self, name: str, dead: Bits | None = None) -> Segment:
        return Segment.open(self._folder, name, self._dimension, keeping=self._keeping, dead=dead)
