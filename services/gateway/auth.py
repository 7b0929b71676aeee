"""Keys: every request but health, metrics of the process and the docs shows one, checked before its body is read."""

from flask import g, request

from services.catalog import keys
from services.errors import Forbidden, NotFound, Unauthorized
from services.gateway.doors import SCOPES, gateway

PUBLIC = {"live", "ready", "openapi.doc_url", "openapi.openapi", "openapi_document", "problem_page"}
_DOCS = ("openapi.", "swagger.")


def check() -> None:
    """Refuse the request unless its key may do what its endpoint does.

    Raises:
        Unauthorized: There is no key, or none that is valid.
        Forbidden: The key's scopes do not cover it.
        NotFound: The key is limited to other collections.
    """
    endpoint = request.endpoint
    if endpoint is None or endpoint in PUBLIC or endpoint.startswith(_DOCS):
        return
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthorized("Send the header Authorization: Bearer KEY. `colega keys create` makes keys.")
    with gateway().catalog.reading() as session:
        key = keys.check(session, secret.strip())
    needed = SCOPES.get(endpoint, "admin")
    if needed not in key.scopes and "admin" not in key.scopes:
        raise Forbidden(f"This needs a key with the scope {needed}; this one has {', '.join(key.scopes)}.")
    wanted = request.args.get("collection", "default")
    if key.collections is not None and wanted not in key.collections:
        raise NotFound("collection", wanted)
    g.key = key
    if keys.is_stale(key):
        with gateway().catalog.transaction() as session:
            keys.touch(session, key)
