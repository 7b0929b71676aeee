"""Settling: what an engine does between changes. Frozen tails are sealed, small and worn segments merged, codes made.

One piece of work at a time, done elsewhere by a :class:`index.engine.sealing.Sealer`; then the segment is made ready by
the device that scans it. What was removed from the parts meanwhile is removed from their successor before it takes their
place.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from index.engine import compaction
from index.engine.codebook import can_code
from index.engine.compaction import Sizes
from index.engine.device import Device
from index.engine.looking import Part
from index.engine.merging import Input, Merge
from index.engine.scan import Scan
from index.engine.sealing import Code, Sealer
from index.engine.segment import IDS, VECTORS, Segment
from index.engine.tail import Tail
from index.engine.tombstones import Bits
from index.protocol import Reached, unwatched
from services.errors import Unavailable

_AGAIN_S = 30.0
"""Pause after sealing failed: the disk is full, say."""

Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """What the sealer is doing: a merge of parts, or the codes of one."""

    ticket: int
    parts: Parts
    names: tuple[str, ...]
    """Of the parts' files."""
    dead: tuple[Bits, ...]
    """Which rows were dead when it began."""
    output: str
    """Name of the segment that is made; empty where only codes are."""
    sequence: int
    """The last log entry that it had when this began."""


@dataclass(frozen=True, slots=True)
class _Loading:
    """A segment that the device is making ready, and the merge that made it, if one did."""

    segment: Segment
    scan: "Future[Scan | None]"
    merge: _UnderWay | None = None


class Settling:
    """What is under way for one engine. Used by its writer alone."""

    def __init__(
        self,
        folder: Path,
        dimension: int,
        sealer: Sealer,
        sizes: Sizes,
        device: Device,
        opened: Callable[[str], Segment],
        reached: Reached = unwatched,
    ) -> None:
        self._folder = folder
        self._dimension = dimension
        self._sealer = sealer
        self._sizes = sizes
        self._device = device
        self._is_scannable = can_code(dimension) or not device.by_codes
        self._opened = opened
        self._reached = reached
        self._under_way: _UnderWay | None = None
        self._loading: _Loading | None = None
        self._rests_until = 0.0
        self._cleansed = -1
        self.trouble = ""
        """Why the last piece of work failed, while none has succeeded since."""

    def settle(self, parts: Parts, *, sequence: int, scanned: bool) -> tuple[Parts, bool]:
        """Take in what the sealer and the device have finished, and give them the next thing to do. Milliseconds.

        Args:
            parts: Of the engine, oldest first.
            sequence: The last log entry that is in them.
            scanned: Whether segments are to be made ready for scanning.

        Returns:
            The parts from now on, and whether anything is under way or waits to be done.
        """
        scanned = scanned and self._is_scannable
        if self._under_way is not None:
            outcome = self._sealer.outcome(self._under_way.ticket)
            if outcome is None:
                return parts, True
            self._reached("merge ended")
            done, self._under_way = self._under_way, None
            self.trouble = outcome.error
            if outcome.error:
                self._rests_until = time.monotonic() + _AGAIN_S
            elif not done.output:
                self._load(done.parts[0])
            elif scanned:
                self._load(self._opened(done.output), done)
            else:
                parts = self._taken_in(parts, done, self._opened(done.output))
        if self._loading is not None:
            if not self._loading.scan.done():
                return parts, True
            loaded, self._loading = self._loading, None
            parts = self._loaded(parts, loaded)
        if time.monotonic() < self._rests_until:
            return parts, True
        self._begin(parts, sequence, scanned=scanned)
        return parts, self._under_way is not None or self._loading is not None

    def prepare(self, parts: Parts) -> None:
        """Have all segments made ready that can be now, and wait for it.

        Raises:
            Unavailable: The device has no room for them.
        """
        if self._is_scannable:
            bare = [part for part in parts if isinstance(part, Segment) and part.scan is None]
            for segment, begun in [(segment, self._device.begin(segment, self._folder)) for segment in bare]:
                segment.scan = begun.result()

    def hasten(self, sequence: int) -> None:
        """Write anew from now on whatever has a row that a log entry up to *sequence* removed."""
        self._cleansed = max(self._cleansed, sequence)

    def parts(self) -> Parts:
        """What is being merged: as long as it is, its files are there, those of a frozen tail, too."""
        works = [self._under_way, self._loading.merge if self._loading is not None else None]
        return tuple(part for work in works if work is not None for part in work.parts)

    def names(self) -> set[str]:
        """Names of the segments that are being read or made."""
        works = [self._under_way, self._loading.merge if self._loading is not None else None]
        return {name for work in works if work is not None for name in (work.output, *work.names) if name}

    def _begin(self, parts: Parts, sequence: int, *, scanned: bool) -> None:
        """Have the most useful thing done, if there is any."""
        if chosen := compaction.worth_merging(parts, self._sizes, cleansed=self._cleansed):
            inputs = tuple(Input(self._named(part), part.tombstones.bits.tobytes()) for part in chosen)
            coded = scanned and self._device.by_codes
            work = Merge(self._folder, self._dimension, inputs, secrets.token_hex(8), coded)
            dead = tuple(np.frombuffer(each.dead, np.uint8) for each in inputs)
            self._reached("merge begins")
            ticket = self._sealer.begin(work)
            names = tuple(each.name for each in inputs)
            self._under_way = _UnderWay(ticket, tuple(chosen), names, dead, work.output, sequence)
            return
        bare = [part for part in parts if isinstance(part, Segment) and part.scan is None]
        if not scanned or not bare:
            return
        if self._device.lacks_codes(bare[0], self._folder):
            ticket = self._sealer.begin(Code(self._folder, self._dimension, bare[0].name))
            self._under_way = _UnderWay(ticket, (bare[0],), (bare[0].name,), (), "", sequence)
        else:
            self._load(bare[0])

    def _load(self, segment: Part, merge: _UnderWay | None = None) -> None:
        assert isinstance(segment, Segment)
        self._loading = _Loading(segment, self._device.begin(segment, self._folder), merge)

    def _loaded(self, parts: Parts, loaded: _Loading) -> Parts:
        """The parts with a segment made ready, or found not to have room; then it is compared row by row."""
        try:
            loaded.segment.scan, self.trouble = loaded.scan.result(), ""
        except Unavailable as error:
            self.trouble = str(error)
            self._rests_until = time.monotonic() + _AGAIN_S
        return parts if loaded.merge is None else self._taken_in(parts, loaded.merge, loaded.segment)

    def _named(self, part: Part) -> str:
        """The name of a part's files; those of a frozen tail are written first."""
        if isinstance(part, Segment):
            return part.name
        name = secrets.token_hex(8)
        (self._folder / f"{name}{VECTORS}").write_bytes(part.vectors.tobytes())
        (self._folder / f"{name}{IDS}").write_bytes(part.ids.tobytes())
        return name

    def _taken_in(self, parts: Sequence[Part], done: _UnderWay, segment: Segment) -> Parts:
        """The parts with a merged segment in the place of what it was made of, less what was removed meanwhile."""
        for part, dead_then in zip(done.parts, done.dead, strict=True):
            since = np.unpackbits(part.tombstones.bits & ~dead_then, bitorder="little")
            rows = segment.rows_of(part.ids[np.flatnonzero(since)])
            for row in rows[rows >= 0].tolist():
                segment.bury(row, done.sequence + 1)
        first = min(n for n, part in enumerate(parts) if part in done.parts)
        others = [part for part in parts if part not in done.parts]
        for part, name in zip(done.parts, done.names, strict=True):
            if isinstance(part, Tail):
                for kind in (IDS, VECTORS):
                    (self._folder / f"{name}{kind}").unlink(missing_ok=True)
        self._reached("merge taken in")
        return (*others[:first], *([segment] if segment.alive else []), *others[first:])
