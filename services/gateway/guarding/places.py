"""Places: so many at once, some more that wait for a moment, and everybody else is refused at once.

Whoever waits holds a thread, and all that is waited for is added to what is answered late: so few wait, and not for long.
"""

from threading import Condition

from services.errors import TooManyRequests


class Places:
    """Places to be served at, and a small room to wait in.

    Args:
        count: Places.
        waiting: How many may wait for one.
        wait_s: For how long.
        refusal: What those are told who get none.
    """

    def __init__(self, count: int, *, waiting: int, wait_s: float, refusal: str) -> None:
        self._free, self._room, self._changed = count, waiting, Condition()
        self._wait_s, self._refusal = wait_s, refusal

    def see_to_some(self) -> None:
        """See that it is of use to ask for a place: one is free, or the room is not full. None is taken.

        Raises:
            TooManyRequests: It is of no use.
        """
        if self._free == self._room == 0:
            raise self._none()

    def take(self) -> None:
        """A place; give it back with :meth:`leave`.

        Raises:
            TooManyRequests: All are taken and stay so for a while, or others wait already.
        """
        with self._changed:
            if not self._free and not self._gets_free():
                raise self._none()
            self._free -= 1

    def leave(self) -> None:
        """Give a place back."""
        with self._changed:
            self._free += 1
            self._changed.notify()

    def _gets_free(self) -> bool:
        if not self._room:
            return False
        self._room -= 1
        try:
            return self._changed.wait_for(lambda: self._free > 0, self._wait_s)
        finally:
            self._room += 1

    def _none(self) -> TooManyRequests:
        return TooManyRequests(self._refusal, retry_after_s=1)
