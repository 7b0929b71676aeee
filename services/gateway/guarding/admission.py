"""Admission: a request whose photos are looked at has a place before its body is read, and so has one that brings files.

What lies in memory, in the broker and in the spool is bounded by that: the largest body times the places.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from flask import g, request

from services.errors import TooManyRequests
from services.gateway.doors import IN_MEMORY, gateway

_UPLOAD_WAITS_S = 1.0


def enter() -> None:
    """Take the place that the request needs.

    Raises:
        TooManyRequests: All places are taken, and none got free in a while.
    """
    mine = gateway()
    if request.endpoint in IN_MEMORY:
        _take(mine.searches, mine.limits.search_timeout_s / 2, "Too many searches at once. Try again in a moment.")
    elif request.mimetype == "multipart/form-data" and "key" in g:
        _take(mine.uploads, _UPLOAD_WAITS_S, "Too many uploads at once. Send the next when one is answered.")


def leave(_: BaseException | None = None) -> None:
    """Give the place of the request back, where it has one."""
    place: BoundedSemaphore | None = g.pop("place", None)
    if place is not None:
        place.release()


@contextmanager
def admitted() -> Iterator[None]:
    """A place among the searches that go on at once: the one that the request has, or one for the time being.

    Raises:
        TooManyRequests: All places are taken, and none got free in a while.
    """
    if "place" in g:
        yield
        return
    mine = gateway()
    _take(mine.searches, mine.limits.search_timeout_s / 2, "Too many searches at once. Try again in a moment.")
    try:
        yield
    finally:
        leave()


def _take(places: BoundedSemaphore, wait_s: float, refusal: str) -> None:
    if not places.acquire(timeout=wait_s):
        raise TooManyRequests(refusal, retry_after_s=1)
    g.place = places
