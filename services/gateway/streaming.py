"""Streaming: an object of the photo store as an answer, opened while it is sent."""

from itertools import chain

from flask import Response

from services.gateway.doors import gateway


def streamed(object_key: str, media_type: str | None) -> Response:
    """The bytes of an object. One that is missing, or damaged where it begins, is a problem like any other.

    Where damage shows later the connection is cut, so that what was sent does not look like all of it.
    """
    pieces = gateway().store.stream(object_key)
    first = next(pieces, b"")
    return Response(chain([first], pieces), mimetype=media_type)
