"""Idempotency keys: a creating request that is sent twice is done once and answered alike, for a day."""

import hashlib
from typing import Any

from flask import Response, g, jsonify, request

from services.catalog import requests
from services.errors import ColegaError, InvalidRequest
from services.gateway.doors import gateway, key

HEADER = "Idempotency-Key"
CREATING = {
    "photos.add",
    "imports.create",
    "people.create",
    "people.add_photos",
    "collections.create",
    "compreface.add_example",
    "compreface.add_subject",
    "models.add",
    "models.quantize",
    "computing.train",
    "computing.evaluate",
    "computing.calibrate",
    "keyring.create",
    "rebuilds.create",
    "naming.assign_all",
    "webhooks.create",
    "webhooks.test",
    "live.match",
}
_LONGEST = 255


def replay() -> Response | None:
    """The answer that the same request got before; None where it is new or bears no key.

    Raises:
        Conflict: The key was used for another request, or the same one is being worked on.
        InvalidRequest: The key is too long.
    """
    given = request.headers.get(HEADER)
    if not given or request.endpoint not in CREATING:
        return None
    if len(given) > _LONGEST:
        raise InvalidRequest(f"{HEADER}: at most {_LONGEST} characters.")
    with gateway().catalog.transaction() as session:
        before = requests.begin(session, key().id, given, _fingerprint())
    if before is not None:
        response = jsonify(before.answer)
        response.status_code = before.status or 200
        return response
    g.idempotency_key = given
    return None


def remember(response: Response) -> Response:
    """Keep the answer of a request that bore a key; forget one that failed, so that it may be tried again."""
    given: str | None = g.pop("idempotency_key", None)
    if given is None:
        return response
    try:
        with gateway().catalog.transaction() as session:
            if response.status_code < 300 and response.is_json:
                answer: dict[str, Any] = {k: v for k, v in response.get_json().items() if k != "secret"}
                requests.finish(session, key().id, given, response.status_code, answer)
            else:
                requests.abandon(session, key().id, given)
    except ColegaError:
        pass  # The answer stands; a second request is refused as being worked on until the note is old.
    return response


def _fingerprint() -> str:
    """Of method, path, query, type and length; of the body only where it is JSON, since uploads are streamed."""
    kind = (request.content_type or "").partition(";")[0]
    body = request.get_data(cache=True) if request.is_json else b""
    parts = [request.method, request.full_path, kind, str(request.content_length)]
    return hashlib.sha256("\n".join(parts).encode() + body).hexdigest()
