"""Idempotency keys: a creating request that is sent twice is done once and answered alike, for a day."""

import hashlib
import os
import socket
from typing import Any

from flask import Response, g, jsonify, request

from services.catalog import requests
from services.errors import CatalogUnavailable, ColegaError, InvalidRequest
from services.gateway.auditing import requests as auditing
from services.gateway.doors import gateway, key
from services.process_starts import started_at

HEADER = "Idempotency-Key"
CREATING = {
    "photos.add",
    "imports.create",
    "people.create",
    "people.add_photos",
    "collections.create",
    "consents.record",
    "sources.ensure",
    "compreface.add_example",
    "compreface.add_subject",
    "models.add",
    "models.quantize",
    "computing.train",
    "computing.evaluate",
    "computing.calibrate",
    "backups.create",
    "keyring.create",
    "keyring.rotate",
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
    mine = (key().id, given)
    try:
        with gateway().catalog.transaction() as session:
            before = requests.begin(
                session,
                *mine,
                _fingerprint(),
                by=_process(os.getpid()),
                is_at_it=lambda process: _is_at_it(process, mine),
            )
            if before is None:
                gateway().under_way.add(mine)  # Before others can read the note.
    except CatalogUnavailable:
        gateway().under_way.discard(mine)
        raise
    if before is not None:
        auditing.note(repeated=True)
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
    gateway().under_way.discard((key().id, given))
    try:
        with gateway().catalog.transaction() as session:
            if response.status_code < 300 and response.is_json:
                answer: dict[str, Any] = {k: v for k, v in response.get_json().items() if k != "secret"}
                requests.finish(session, key().id, given, response.status_code, answer)
            else:
                requests.abandon(session, key().id, given)
    except ColegaError:
        pass  # The answer stands; a second request finds a note that nobody is at, and is done anew.
    return response


def _process(pid: int) -> str:
    """A process of this machine, told from a later one that has its number: ``host:pid:started``. Of one that is gone, no other's."""
    return f"{socket.gethostname()}:{pid}:{started_at(pid)}"


def _is_at_it(process: str, request_: tuple[int, str]) -> bool:
    """Whether *process* may be working on a request still. Of another machine's that is not known: for a while it may."""
    host, pid, _ = process.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    return process == _process(int(pid)) and (int(pid) != os.getpid() or request_ in gateway().under_way)


def _fingerprint() -> str:
    """Of method, path, query, type and length; of the body only where it is JSON, since uploads are streamed."""
    kind = (request.content_type or "").partition(";")[0]
    body = request.get_data(cache=True) if request.is_json else b""
    parts = [request.method, request.full_path, kind, str(request.content_length)]
    return hashlib.sha256("\n".join(parts).encode() + body).hexdigest()
