"""Keys: every request but health, metrics of the process and the docs shows one, checked before its body is read."""

from flask import g, request

from services.catalog import keys
from services.catalog.schema import ApiKey
from services.errors import Forbidden, NotFound, Unauthorized
from services.gateway.doors import SCOPES, gateway, key

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
        shown = keys.check(session, secret.strip())
    _require(shown, SCOPES.get(endpoint, "admin"))
    wanted = request.args.get("collection", "default")
    if shown.collections is not None and wanted not in shown.collections:
        raise NotFound("collection", wanted)
    g.key = shown
    if keys.is_stale(shown):
        with gateway().catalog.transaction() as session:
            keys.touch(session, shown)


def require_scope(scope: str) -> None:
    """See that the key of the request has *scope*, where what is needed depends on what the request is about.

    Raises:
        Forbidden: It has not.
    """
    _require(key(), scope)


def _require(shown: ApiKey, needed: str) -> None:
    if not {*needed.split(" or "), "admin"} & set(shown.scopes):
        raise Forbidden(f"This needs a key with the scope {needed}; this one has {', '.join(shown.scopes)}.")
