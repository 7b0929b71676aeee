"""Protecting: the headers that every answer bears, and which pages of other sites may call the API."""

from http import HTTPStatus

from flask import Flask, Response, request

from services.gateway.doors import gateway

API = "/v1/"
_RUNS_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For what is no page: if a browser shows it nevertheless, nothing in it runs, and nobody frames it."""

_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""For the API's description, whose pages come as they are from its package."""

_NOTHING_OF_THE_DEVICE = "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), payment=()"
_METHODS = "GET, POST, PATCH, DELETE"
_ASKED_WITH = "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, X-Request-ID"
_TOLD_WITH = "ETag, Location, Retry-After, X-Request-ID"
_A_DAY_S = 86_400


def register(app: Flask) -> None:
    """Add the headers to answers of *app*; before keys are looked at, since a browser asks without one whether it may ask."""
    app.before_request(_may_ask)
    app.after_request(protected)


def protected(response: Response) -> Response:
    """*response* with what protects whoever looks at it; what a page has said for itself stands."""
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    is_docs = request.path.startswith("/docs")
    headers.setdefault("Content-Security-Policy", _DOCS if is_docs else _RUNS_NOTHING)
    headers.setdefault("X-Frame-Options", "DENY")
    headers.setdefault("Referrer-Policy", "no-referrer")
    headers.setdefault("Permissions-Policy", _NOTHING_OF_THE_DEVICE)
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cache-Control", "no-store")
    if request.is_secure and (hsts_s := gateway().settings.hsts_s):
        headers["Strict-Transport-Security"] = f"max-age={hsts_s}"
    origin = _allowed_origin()
    headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if origin else "same-origin")
    if gateway().door.origins and request.path.startswith(API):
        response.vary.add("Origin")
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = _TOLD_WITH
    return response


def _may_ask() -> Response | None:
    """Answer a browser that asks whether a page of another site may call the API; others are asked for their key."""
    if (
        request.method != "OPTIONS"
        or "Access-Control-Request-Method" not in request.headers
        or _allowed_origin() is None
    ):
        return None
    response = Response(status=HTTPStatus.NO_CONTENT)
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    response.headers["Access-Control-Allow-Headers"] = _ASKED_WITH
    response.headers["Access-Control-Max-Age"] = str(_A_DAY_S)
    return response


def _allowed_origin() -> str | None:
    """The origin of a page that may call what is asked for: the API, with a key. Cookies are never let through."""
    origin = request.headers.get("Origin")
    return origin if origin in gateway().door.origins and request.path.startswith(API) else None
