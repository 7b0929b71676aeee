"""Paging: opaque cursors over the order that a list has anyway."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from services.errors import InvalidRequest
from services.gateway.guarding import documents


def cursor_of(place: Any) -> str:  # noqa: ANN401 - whatever JSON can say
    """A place in a list as a cursor."""
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode()


def place_after(cursor: str | None) -> Any:  # noqa: ANN401
    """The place that a cursor of ours names; None for the beginning.

    Raises:
        InvalidRequest: It is none of ours.
    """
    if cursor is None:
        return None
    try:
        return documents.read(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error, InvalidRequest):
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.") from None


def number_after(cursor: str | None) -> int:
    """A place that is a row's number; 0 for the beginning.

    Raises:
        InvalidRequest: The cursor is none of ours.
    """
    place = place_after(cursor)
    if place is not None and not (isinstance(place, int) and 0 <= place < 2**63):
        raise InvalidRequest("cursor: give `next_cursor` of the page before, as it is.")
    return place or 0


def page_of(rows: Sequence[tuple[dict[str, Any], Any]], *, more: bool) -> dict[str, Any]:
    """A page from rows with their places."""
    return {"items": [row for row, _ in rows], "next_cursor": cursor_of(rows[-1][1]) if more and rows else None}
