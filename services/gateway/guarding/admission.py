"""Admission: a request whose photos are looked at has a place before its body is read, and so has one that brings files.

What lies in memory, in the broker and in the spool is bounded by that: the largest body times the places.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import g, request

from services.gateway.doors import IN_MEMORY, gateway
from services.gateway.guarding.places import Places


def enter() -> None:
    """Take the place that the request needs.

    Raises:
        TooManyRequests: All places are taken, and none got free in a while.
    """
    mine = gateway()
    if request.endpoint in IN_MEMORY:
        _take(mine.searches)
    elif request.mimetype == "multipart/form-data" and "key" in g:
        _take(mine.uploads)


def leave(_: BaseException | None = None) -> None:
    """Give the place of the request back, where it has one."""
    place: Places | None = g.pop("place", None)
    if place is not None:
        place.leave()


@contextmanager
def admitted() -> Iterator[None]:
    """A place among the searches that go on at once: the one that the request has, or one for the time being.

    Raises:
        TooManyRequests: All places are taken, and none got free in a while.
    """
    if "place" in g:
        yield
        return
    _take(gateway().searches)
    try:
        yield
    finally:
        leave()


def _take(places: Places) -> None:
    places.take()
    g.place = places
