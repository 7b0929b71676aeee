"""The reserve: whatever hangs behind the gateway, some threads are left that say how things are.

So many requests are served at once (COLEGA_GATEWAY_THREADS); as many more wait for a moment, and the others are refused at once.
"""

from flask import Flask, current_app, g, request

from services.gateway.guarding.places import Places
from services.gateway.guarding.remembered import TELLS

RESERVE = 4
"""Threads for :data:`ALWAYS`, and for refusing."""
ALWAYS = {"live", "ready", *TELLS}

_EXTENSION = "colega_desks"
_WAITS_S = 1.0
_REFUSED = "More is asked at once than is served. Try again in a moment."


def register(app: Flask, count: int) -> None:
    """Have *app* serve so many requests at once."""
    app.extensions[_EXTENSION] = Places(count, waiting=count, wait_s=_WAITS_S, refusal=_REFUSED)
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


def _desks() -> Places:
    desks: Places = current_app.extensions[_EXTENSION]
    return desks
