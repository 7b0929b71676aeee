"""Compaction: which parts are worth merging, and how large segments are."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from index.engine.looking import Part
from index.engine.segment import Segment
from index.engine.tail import Tail
from index.protocol import Half, Ids


@dataclass(frozen=True, slots=True)
class Sizes:
    """When parts are sealed and merged."""

    tail: int = 4096
    """Rows of a tail, at most."""
    segment: int = 262_144
    """Rows of a segment that is left alone. Times 64 bytes of codes it is a power of two, which FAISS rounds up to."""
    small: int = 8
    """So many segments below that size are merged."""
    dead_share: float = 0.1
    """A segment with more dead than this is written anew."""
    dead: int | None = None
    """So is one with more dead than this, however large it is; None: there is no such number."""
    erased_after_s: float = 3600.0
    """A segment with any dead is written anew after this, so that nothing of a removed face stays on disk."""


def worth_merging(parts: Sequence[Part], sizes: Sizes, *, cleansed: int = -1) -> list[Part]:
    """The parts to merge next: frozen tails, else too many small segments, else one with too many or too old dead.

    Before small ones, one with any dead that a log entry up to *cleansed* removed: those must leave the disk.
    """
    frozen: list[Part] = [part for part in parts[:-1] if isinstance(part, Tail)]
    if frozen:
        return frozen
    segments = [part for part in parts if isinstance(part, Segment)]
    if unclean := next((part for part in segments if is_left(part, cleansed)), None):
        return [unclean]
    small = sorted((part for part in segments if part.alive < sizes.segment), key=lambda part: part.alive)
    if len(small) >= sizes.small:
        chosen: list[Part] = []
        for part in small:
            if sum(each.alive for each in chosen) + part.alive > sizes.segment:
                break
            chosen.append(part)
        if len(chosen) > 1:
            return chosen
    return next(([part] for part in segments if _is_worn(part, sizes)), [])


def is_left(part: Part, sequence: int) -> bool:
    """Whether a part still has a row that a log entry up to *sequence* may have removed."""
    since = part.tombstones.since
    return since is not None and since <= sequence


def cut(blocks: Iterable[tuple[Ids, Half]], rows: int) -> Iterator[tuple[list[Ids], list[Half]]]:
    """Blocks gathered to *rows* rows each; the last has what is left."""
    ids: list[Ids] = []
    vectors: list[Half] = []
    room = rows
    for block_ids, block_vectors in blocks:
        start = 0
        while start < len(block_ids):
            some = slice(start, start + room)
            ids.append(block_ids[some])
            vectors.append(block_vectors[some])
            room -= len(ids[-1])
            start = some.stop
            if not room:
                yield ids, vectors
                ids, vectors, room = [], [], rows
    if ids:
        yield ids, vectors


def _is_worn(segment: Segment, sizes: Sizes) -> bool:
    stones = segment.tombstones
    if stones.count > sizes.dead_share * len(segment) or (sizes.dead is not None and stones.count > sizes.dead):
        return True
    return stones.first_at is not None and time.monotonic() - stones.first_at > sizes.erased_after_s
