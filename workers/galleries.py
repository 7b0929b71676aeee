"""Galleries in evaluation and training: labelled faces as chips, with whom each shows.

Light to import, for machines that have arrays and a model and nothing else. Where galleries come from:
:func:`workers.labelled.of_directory` and :func:`workers.labelled.of_pairs` read photos,
:func:`workers.collected.of_collection` takes what a collection has enrolled.
"""

import os
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

from services.errors import DiskFull
from workers.faces.embed import Embedder
from workers.faces.values import Chip, Vectors

Told = Callable[[int, int], None]
"""Told how many are done, of how many. May raise, which ends what it is told of."""

_AT_ONCE = 64
"""Chips decoded at one time: 64 crops of 160 pixels are 5 MB."""


def untold(done: int, total: int) -> None:
    """Nobody listens."""
    del done, total


class ChipFile(Sequence[Chip]):
    """Chips in a file without a name: appended once, read at any place, gone with the process.

    A chip is 18 KB, so those of 50,000 faces (900 MB) do not belong into memory.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - Lives as long as this.
        weakref.finalize(self, self._file.close)
        self._places: list[tuple[int, int]] = []
        self._geometry: list[tuple[NDArray[np.float64], NDArray[np.float32]]] = []

    def append(self, chip: Chip) -> None:
        """Add *chip* at the end.

        Raises:
            DiskFull: There is no room for it.
        """
        start = sum(self._places[-1]) if self._places else 0
        written = 0
        while written < len(chip.jpeg):
            try:
                written += os.pwrite(self._file.fileno(), chip.jpeg[written:], start + written)
            except OSError as error:
                raise DiskFull(f"No room for chips in {tempfile.gettempdir()}: {error.strerror}. Free some.") from error
        self._places.append((start, len(chip.jpeg)))
        self._geometry.append((chip.map, chip.landmarks))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, at: int) -> Chip: ...
    @overload
    def __getitem__(self, at: slice) -> list[Chip]: ...
    def __getitem__(self, at: int | slice) -> Chip | list[Chip]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        (start, size), (to_chip, landmarks) = self._places[at], self._geometry[at]
        return Chip(os.pread(self._file.fileno(), size, start), to_chip, landmarks)


def _nobody() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Gallery:
    """Labelled faces, one a photo, in the order of their people.

    ``names`` lists everybody, people of whom no face was found too; a person's number is their place in it.
    """

    chips: Sequence[Chip]
    """(n): read one or a slice at a time; perhaps not in memory."""
    people: NDArray[np.int64]
    """(n,): the number of the person each chip shows."""
    names: Sequence[str]
    """Of the people, by number. Two may be called the same."""
    photos: Sequence[str]
    """(n): the photo of each chip: its path relative to the source, or its id."""
    undetected: Sequence[str] = ()
    """The photos in which no face was found."""
    undetected_people: NDArray[np.int64] = field(default_factory=_nobody)
    """(as many): whom they are said to show."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """The files that could not be used at all, by path: the reason, as :class:`services.rejections.Rejection` has it."""

    def counts(self) -> NDArray[np.int64]:
        """(people,): how many chips there are of each."""
        return np.bincount(self.people, minlength=len(self.names)).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ListedPairs:
    """Pairs of photos that a file lists, as rows of a gallery."""

    first: NDArray[np.int64]
    """(p,): the row of the gallery's ``chips``; -1 where no face was found in the photo."""
    second: NDArray[np.int64]
    """(p,): as ``first``."""
    same: NDArray[np.bool_]
    """(p,): whether the file says that both show one person."""
    folds: NDArray[np.int64] | None
    """(p,): the fold of each pair, 0, 1, …, where the file gives at least two."""
    photos: Sequence[tuple[str, str]]
    """(p): the two photos of each pair, as the file calls them."""
    identified: bool
    """Whether the file tells all people apart: its labels agree with the folders that the photos lie in. Else a person is
    what mated pairs connect, and two of these may still be one."""


def embedded(gallery: Gallery, embedder: Embedder, told: Told = untold) -> Vectors:
    """The vector of every chip of *gallery*, (n, dimension) float32 of norm 1, in its order."""
    total = len(gallery.chips)
    vectors = np.empty((total, embedder.dimension), np.float32)
    for start in range(0, total, _AT_ONCE):
        crops = [embedder.crop(chip) for chip in gallery.chips[start : start + _AT_ONCE]]
        vectors[start : start + len(crops)] = embedder.embed(crops)
        told(start + len(crops), total)
    return vectors
