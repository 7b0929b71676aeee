"""Images: an engine at one moment, as a snapshot has it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from index.engine.looking import Part
from index.engine.segment import Segment
from index.engine.tail import Tail
from index.engine.tombstones import Bits
from index.protocol import Half, Ids


@dataclass(frozen=True, slots=True)
class Image:
    """All of an engine at one moment, for a snapshot: sealed segments by name with their dead, and the newest rows."""

    sequence: int
    segments: tuple[tuple[str, Bits], ...]
    ids: Ids
    vectors: Half

    @classmethod
    def of(cls, parts: Sequence[Part], sequence: int) -> "Image":
        """What an engine of these parts, oldest first, is at log entry *sequence*; of its tails only what lives."""
        segments = [part for part in parts if isinstance(part, Segment)]
        tails = [part for part in parts if isinstance(part, Tail)]
        living = [np.flatnonzero(~part.tombstones.are_dead(np.arange(len(part)))) for part in tails]
        return cls(
            sequence,
            tuple((segment.name, segment.tombstones.bits.copy()) for segment in segments),
            np.concatenate([part.ids[rows] for part, rows in zip(tails, living, strict=True)]),
            np.concatenate([part.vectors[rows] for part, rows in zip(tails, living, strict=True)]),
        )
