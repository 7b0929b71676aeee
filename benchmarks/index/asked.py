"""What was asked of the command, and what a part hands back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import Row


@dataclass(frozen=True, slots=True)
class Asked:
    """Sizes and places for one run."""

    folder: Path
    """Where galleries are kept and indexes are built."""
    quick: bool
    long: bool
    peer_python: Path | None
    """Python of the virtual environment with hnswlib and usearch."""

    @property
    def ladder(self) -> Sequence[int]:
        """Sizes of galleries at which recall is measured."""
        small = (4096, 16_384)
        return small if self.quick else (*small, 32_768, 65_536, 100_000, 131_072, 300_000, 524_288, 1_000_000)

    @property
    def sizes(self) -> Sequence[int]:
        """The small and the large gallery of the other tables."""
        return (4096, 16_384) if self.quick else (100_000, 1_000_000)

    def calls(self, many: int) -> int:
        """How many calls are timed, where *many* are wanted of a real run."""
        return max(many // 20, 5) if self.quick else many


@dataclass(frozen=True, slots=True)
class Told:
    """The figures of one part, and what has to be said beside them."""

    rows: Sequence[Row]
    notes: Sequence[str] = ()


Part = Callable[[Asked], Told]


def faces(count: int) -> str:
    """A case's name."""
    return f"{count:,} faces"
