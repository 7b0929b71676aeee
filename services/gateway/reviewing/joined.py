"""Joined: a page of what looks alike from the searcher, which compares all with all and is asked again until it has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import Field

from services import thresholds
from services.broker.joins import Join, What
from services.errors import InvalidRequest, TooManyRequests
from services.gateway.doors import InCollection, gateway
from services.gateway.paging import cursor_of, place_after
from services.gateway.searching.search import Gallery

_PLACES: Mapping[What, int] = {"faces": 2, "people": 3, "doubts": 2}
"""Of how many numbers the place of an item is made."""


class Alike(InCollection):
    """From which similarity two are alike."""

    threshold: float | None = Field(
        default=None, gt=0, le=1, allow_inf_nan=False, description="Alike from this cosine."
    )
    fmr: float | None = Field(default=None, gt=0, lt=1, description="Alike at this false-match rate of pairs.")
    after: int | None = Field(default=None, ge=0, lt=2**63, description="Reflect the log up to this sequence number.")
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=1024, description="`next_cursor` of the page before.")


def asked(
    gallery: Gallery,
    query: Alike,
    what: What,
    default: Callable[[], float],
    *,
    least: int = 2,
    shown: int = 2,
    person: int | None = None,
) -> tuple[dict[str, Any], float]:
    """A page from the searcher, and the threshold that it was made with: of a further page, that of the first."""
    threshold, place = _place(query.cursor, _PLACES[what])
    if threshold is None and query.threshold is None and query.fmr is None:
        threshold = default()
    if threshold is None:
        threshold = thresholds.for_search(table_of(gallery), gallery.people, threshold=query.threshold, fmr=query.fmr)
    join = Join(
        what,
        gallery.collection.id,
        gallery.generation,
        threshold,
        query.limit,
        least=least,
        shown=shown,
        after=query.after,
        place=place,
        person=person,
    )
    with _admitted():
        return gateway().asking.join(join, timeout_s=gateway().limits.search_timeout_s), threshold


def table_of(gallery: Gallery) -> Mapping[str, Any]:
    """The thresholds that the gallery's model brings."""
    found: Mapping[str, Any] = gallery.model.details.get("thresholds", {})
    return found


@contextmanager
def _admitted() -> Iterator[None]:
    """A place among the few such questions that go on at once: each may hold a thread until its deadline."""
    places = gateway().joins
    if not places.acquire(blocking=False):
        raise TooManyRequests("Too many comparisons at once. Try again in a moment.", retry_after_s=2)
    try:
        yield
    finally:
        places.release()


def page(
    items: Sequence[dict[str, Any]], answer: Mapping[str, Any], threshold: float, gallery: Gallery
) -> dict[str, Any]:
    """What is answered: what the catalog has left of a page."""
    return {
        "items": items,
        "total": answer["total"],
        "next_cursor": None if answer["next"] is None else cursor_of([threshold, *answer["next"]]),
        "sequence": answer["sequence"],
        "threshold": threshold,
        "model": gallery.model.digest,
    }


def _place(cursor: str | None, length: int) -> tuple[float | None, tuple[float, ...] | None]:
    """Threshold and place of the last item of the page before."""
    place = place_after(cursor)
    if place is None:
        return None, None
    if not (isinstance(place, list) and len(place) == length + 1 and all(_is_number(n) for n in place)):
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.")
    if not 0 < place[0] <= 1:
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.")
    return place[0], tuple(place[1:])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and -(2**53) < value < 2**53  # Which NaN is not either.
