"""Places: so many at once, some more that wait for a moment, and everybody else is refused at once.

Whoever waits holds a thread, and all that is waited for is added to what is answered late: so few wait, and not for long.
"""

from threading import BoundedSemaphore

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
        self._places, self._room = BoundedSemaphore(count), BoundedSemaphore(waiting)
        self._wait_s, self._refusal = wait_s, refusal

    def take(self) -> None:
        """A place; give it back with :meth:`leave`.

        Raises:
            TooManyRequests: All are taken and stay so for a while, or others wait already.
        """
        if self._places.acquire(blocking=False):
            return
        if not self._room.acquire(blocking=False):
            raise TooManyRequests(self._refusal, retry_after_s=1)
        try:
            if not self._places.acquire(timeout=self._wait_s):
                raise TooManyRequests(self._refusal, retry_after_s=1)
        finally:
            self._room.release()

    def leave(self) -> None:
        """Give a place back."""
        self._places.release()
