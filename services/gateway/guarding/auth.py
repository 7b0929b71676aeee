"""Keys: every request but health, metrics of the process and the docs shows one, checked before its body is read.

A program shows it in a header: ``Authorization``, or ``x-api-key`` where it speaks CompreFace's API. A browser has shown it
once, and sends the cookie of its session from then on; what it changes bears a token besides, which no other site's page can
know.
"""

import hashlib
import hmac
import time
from collections.abc import Callable
from contextlib import suppress

from flask import g, request
from sqlalchemy.orm import Session

from services.catalog import keys, sessions
from services.catalog.schema import ApiKey
from services.catalog.tables.console import ConsoleSession
from services.errors import CatalogUnavailable, ColegaError, Forbidden, NotFound, Unauthorized
from services.gateway.doors import SCOPES, gateway, key
from services.gateway.guarding import texts
from services.gateway.guarding.limiting import slow_down
from services.gateway.guarding.remembered import TELLS, LetIn
from services.gateway.observing import health
from services.gateway.observing.probes import AWAY
from services.logs import logger

PUBLIC = {"live", "ready", "openapi.doc_url", "openapi.openapi", "openapi_document", "problem_page", "asset"}
_DOCS = ("openapi.", "swagger.")
_FACADE = "compreface."

COOKIE = "colega_session"
TOKEN_HEADER, TOKEN_FIELD = "X-CSRF-Token", "csrf_token"
_CHANGES_NOTHING = {"GET", "HEAD", "OPTIONS"}
_PLAIN_FORM = "application/x-www-form-urlencoded"


def check() -> None:
    """Refuse the request unless its key may do what its endpoint does.

    Raises:
        Unauthorized: There is no key, or none that is valid.
        Forbidden: The key's scopes do not cover it, or a browser's request bears no token.
        NotFound: The key is limited to other collections.
    """
    endpoint = request.endpoint
    if endpoint is None or endpoint in PUBLIC or endpoint.startswith(_DOCS):
        return
    texts.require_plain()
    if endpoint.startswith(_FACADE):  # The key says which collection: services.gateway.compreface.facade.
        g.key = _of_secret(request.headers.get("x-api-key", ""))
        _require(g.key, SCOPES.get(endpoint, "admin"))
        return
    shown = _of_cookie() if COOKIE in request.cookies and "Authorization" not in request.headers else _of_header()
    g.key = shown  # What follows may refuse; the page that says so is for this key, too.
    _require(shown, SCOPES.get(endpoint, "admin"))
    for wanted in request.args.getlist("collection"):
        if not may_touch(wanted):
            raise NotFound("collection", wanted)


def recognise() -> None:
    """Know whose browser it is where nothing is asked of anybody, such as at an address that there is not."""
    if COOKIE in request.cookies and "key" not in g:
        with suppress(ColegaError), gateway().catalog.reading() as session:
            g.session, g.key = sessions.check(session, request.cookies[COOKIE])


def token_of(cookie: str) -> str:
    """What a change must bear beside the session's cookie. It follows from the cookie, which no page can read."""
    return hmac.new(cookie.encode(), b"change", hashlib.sha256).hexdigest()


def may(scope: str) -> bool:
    """Whether the key of the request has *scope*: one, or ``one or another``."""
    return _has(key(), scope)


def require_scope(scope: str) -> None:
    """See that the key of the request has *scope*, where what is needed depends on what the request is about.

    Raises:
        Forbidden: It has not.
    """
    _require(key(), scope)


def may_touch(collection: str) -> bool:
    """Whether the key of the request is not limited to other collections than that."""
    allowed = key().collections
    return allowed is None or collection in allowed


def require_unlimited() -> None:
    """See that the key of the request is not limited to collections: what it asks for, all of them share.

    Raises:
        Forbidden: It is.
    """
    if key().collections is not None:
        raise Forbidden("This concerns all collections, and the key is limited to some. Use one that is not.")


def _of_header() -> ApiKey:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret.strip():
        raise Unauthorized("Send the header Authorization: Bearer KEY. `colega keys create` makes keys.")
    return _of_secret(secret)


def _of_secret(secret: str) -> ApiKey:
    if _is_without_catalog():
        return _remembered(secret).key
    try:
        with gateway().catalog.reading() as session:
            shown = keys.check(session, secret.strip())
        gateway().remembered.note(secret, shown)
    except Unauthorized:
        gateway().remembered.forget(secret)
        slow_down(request.remote_addr)
        gateway().strangers.failed(request.remote_addr)
        raise
    if keys.is_stale(shown):
        _note_use(shown, lambda session: keys.touch(session, shown))
    return shown


def _of_cookie() -> ApiKey:
    cookie = request.cookies[COOKIE]
    if _is_without_catalog():
        known = _remembered(cookie)
        g.session = known.session
        return known.key
    with gateway().catalog.reading() as session:
        signed_in = sessions.check(session, cookie)
    gateway().remembered.note(cookie, signed_in.key, signed_in.session)
    if request.method not in _CHANGES_NOTHING:
        token = request.headers.get(TOKEN_HEADER, "")
        if not token and request.mimetype == _PLAIN_FORM:
            token = request.form.get(TOKEN_FIELD, "")
        if not hmac.compare_digest(token.encode(), token_of(cookie).encode()):
            raise Forbidden("The request bears no token of this session. Load the page again and repeat what you did.")
    if sessions.is_stale(signed_in.session, time.time()):

        def touch(session: Session) -> None:
            sessions.touch(session, signed_in.session)
            keys.touch(session, signed_in.key)

        _note_use(signed_in.session, touch)
    g.session = signed_in.session
    return signed_in.key


def _is_without_catalog() -> bool:
    """Whether the request is about how things are, and the catalog is away."""
    g.without_catalog = request.endpoint in TELLS and health.checks()["catalog"] == AWAY
    return bool(g.without_catalog)


def _remembered(shown: str) -> LetIn:
    """Who has shown that lately, to a gateway that cannot ask.

    Raises:
        CatalogUnavailable: Nobody has.
    """
    known = gateway().remembered.who(shown)
    if known is None:
        raise CatalogUnavailable(
            "The catalog does not answer, so it cannot be seen whose key this is. Try again in a moment."
        )
    return known


def _note_use(of: ApiKey | ConsoleSession, note: Callable[[Session], None]) -> None:
    """Write down that a key or a session was used.

    A catalog that cannot be written just now is no reason to refuse the request, nor to have the next one wait for it, too.
    """
    if not gateway().known.may_note(type(of).__name__, of.id):
        return
    try:
        with gateway().catalog.transaction() as session:
            note(session)
    except CatalogUnavailable:
        logger().warning("key.use_not_noted", key=of.public_id if isinstance(of, ApiKey) else None)


def _has(shown: ApiKey, needed: str) -> bool:
    return bool({*needed.split(" or "), "admin"} & set(shown.scopes))


def _require(shown: ApiKey, needed: str) -> None:
    if not _has(shown, needed):
        raise Forbidden(f"This needs a key with the scope {needed}; this one has {', '.join(shown.scopes)}.")
