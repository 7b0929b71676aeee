"""Admission: a request whose photos are looked at has a place before its body is read, and so has one that brings files.

What lies in memory, in the broker and in the spool is bounded by that: the largest body times the places. Where more is asked
than can be served, whoever gets no place is told so before anything is spent on it: a refusal that costs as much as an answer
takes it away from those who are served.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import g, request

from services.gateway.doors import IN_MEMORY, gateway
from services.gateway.guarding.places import Places


def turn_away() -> None:
    """Refuse a request at once for which there can be no place just now, before anybody asks whose it is.

    Raises:
        TooManyRequests: All places are taken, and as many wait as may.
    """
    places = _needed()
    if places is not None:
        places.see_to_some()


def enter() -> None:
    """Take the place that the request needs.

    Raises:
        TooManyRequests: All places are taken, and none got free in a while.
    """
    places = _needed()
    if places is not None and (places is gateway().searches or "key" in g):
        _take(places)


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


def _needed() -> Places | None:
    if request.method == "OPTIONS":
        return None
    if request.endpoint in IN_MEMORY:
        return gateway().searches
    return gateway().uploads if request.mimetype == "multipart/form-data" else None


def _take(places: Places) -> None:
    places.take()
    g.place = places
