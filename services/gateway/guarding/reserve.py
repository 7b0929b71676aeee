"""The reserve: whatever hangs behind the gateway, some threads are left that say how things are.

So many requests are served at once (COLEGA_GATEWAY_THREADS); as many more wait for a moment, and the others are refused at once.
"""

from threading import BoundedSemaphore

from flask import Flask, current_app, g, request

from services.errors import TooManyRequests
from services.gateway.guarding.remembered import TELLS

RESERVE = 4
"""Threads for :data:`ALWAYS`, and for refusing."""
ALWAYS = {"live", "ready", *TELLS}

_EXTENSION = "colega_desks"
_WAITS_S = 1.0
_REFUSED = "More is asked at once than is served. Try again in a moment."


class Desks:
    """Places to be served at, and a bounded room to wait in."""

    def __init__(self, count: int) -> None:
        self.desks, self.room = BoundedSemaphore(count), BoundedSemaphore(count)

    def take(self) -> None:
        """A place; give it back with :meth:`leave`.

        Raises:
            TooManyRequests: All are taken, and stay so for a while.
        """
        if self.desks.acquire(blocking=False):
            return
        if not self.room.acquire(blocking=False):
            raise TooManyRequests(_REFUSED, retry_after_s=1)
        try:
            if not self.desks.acquire(timeout=_WAITS_S):
                raise TooManyRequests(_REFUSED, retry_after_s=1)
        finally:
            self.room.release()

    def leave(self) -> None:
        """Give a place back."""
        self.desks.release()


def register(app: Flask, count: int) -> None:
    """Have *app* serve so many requests at once."""
    app.extensions[_EXTENSION] = Desks(count)
    app.before_request(enter)
    app.teardown_request(leave)


def enter() -> None:
    """Take a place for the request.

    Raises:
        TooManyRequests: There is none.
    """
    if request.endpoint not in ALWAYS:
        _desks().take()
        g.has_desk = True


def leave(_: BaseException | None = None) -> None:
    """Give the place of the request back, where it has one."""
    if g.pop("has_desk", False):
        _desks().leave()


def _desks() -> Desks:
    desks: Desks = current_app.extensions[_EXTENSION]
    return desks
