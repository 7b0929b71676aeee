"""How many go through a network at once: as many as it likes best, half as many where memory did not suffice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from services.errors import DeviceFull
from workers.faces.values import Pixels

T = TypeVar("T")
F = TypeVar("F")


Each = Callable[[Callable[[Pixels], Pixels], Iterable[Pixels]], Iterable[Pixels]]
"""As ``map``, which is one: the results in order."""


class NoRoom(Exception):
    """The device has no memory for a batch of this size; what was taken for the attempt is free again."""


class Batches:
    """The size of batches for one network on one device, which shrinks when it has to and is remembered.

    Args:
        best: The size at which the network is quickest; no batch is larger.
        of: What there is no room for, in the plural, for the error.
    """

    def __init__(self, best: int, of: str) -> None:
        self.size = best
        self._of = of

    def through(self, network: Callable[[Sequence[T]], F], items: Sequence[T]) -> Iterator[tuple[int, F]]:
        """Run *network* over *items*, batch after batch.

        After :class:`NoRoom` a batch is tried again in halves, and later ones are no larger.

        Yields:
            Where each batch begins, and what the network gave for it.

        Raises:
            DeviceFull: There is no room for a single one.
        """
        start = 0
        while start < len(items):
            batch = items[start : start + self.size]
            try:
                found = network(batch)
            except NoRoom as error:
                if len(batch) == 1:
                    raise DeviceFull(self._of) from error
                self.size = len(batch) // 2
                continue
            yield start, found
            start += len(batch)
