"""Signing in with an API key, signing out, and what a browser remembers: language and theme."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from flask import g, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from services.catalog import keys, sessions
from services.errors import Forbidden, Unauthorized
from services.gateway.auditing import requests as auditing
from services.gateway.console import language
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import THEME_COOKIE, THEMES, local_path, page, public
from services.gateway.doors import gateway
from services.gateway.guarding import auth

_LONGEST_KEY = 256
_A_YEAR_S = 365 * 86_400
ANY_SCOPE = "search or enrol or read or manage or train"


@public("/sign-in", methods=("GET", "POST"))
def sign_in() -> ResponseReturnValue:
    """Show a key once; a cookie stands for it until the session ends. A script that renews a session is answered in JSON."""
    then = local_path(request.values.get("next", "/"))
    if request.method == "GET":
        return render_template("sign_in.html", then=then, refused=None)
    _same_origin()
    mine, address = gateway(), request.remote_addr
    if wait_s := mine.attempts.wait_s(address):
        sentence = _("Too many attempts failed. Wait a minute, then try again.")
        return _not_signed_in(sentence, then, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(wait_s)})
    shown = request.form.get("key", "").strip()[:_LONGEST_KEY]
    try:
        with mine.catalog.transaction() as session:
            found = keys.check(session, shown)
            sessions.end(session, request.cookies.get(auth.COOKIE, ""))
            cookie = sessions.begin(session, found)
            auditing.note(key=found.public_id)
    except Unauthorized:
        mine.attempts.failed(address)
        sentence = _("This key is unknown, revoked or expired. Check that you have copied all of it.")
        return _not_signed_in(sentence, then, HTTPStatus.UNAUTHORIZED)
    if _is_script():
        response: Response = jsonify({"csrf_token": auth.token_of(cookie), **_lasts(sessions.LONGEST_S)})
    else:
        response = redirect(then, HTTPStatus.SEE_OTHER)
    response.set_cookie(
        auth.COOKIE,
        cookie,
        max_age=int(sessions.LONGEST_S),
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    return response


def _not_signed_in(
    sentence: str, then: str, status: HTTPStatus, headers: Mapping[str, str] | None = None
) -> ResponseReturnValue:
    if _is_script():
        return {"detail": sentence}, status, dict(headers or {})
    return render_template("sign_in.html", then=then, refused=sentence), status, dict(headers or {})


def _is_script() -> bool:
    return request.accept_mimetypes.best == "application/json"


@page("/session", ANY_SCOPE)
def session() -> ResponseReturnValue:
    """Go on with the session: it counts as used. How long it lasts, and the token of its changes."""
    cookie = request.cookies.get(auth.COOKIE, "")
    one = g.get("session")
    if one is None:
        raise Unauthorized("There is no session: this request showed a key.")
    return {"csrf_token": auth.token_of(cookie), **_lasts(one.expires_at - time.time())}


def _lasts(longest_s: float) -> dict[str, int]:
    return {"longest": max(int(longest_s), 0), "idle": int(sessions.IDLE_S)}


@page("/sign-out", ANY_SCOPE, methods=("POST",))
def sign_out() -> ResponseReturnValue:
    """End the session."""
    with gateway().catalog.transaction() as transaction:
        sessions.end(transaction, request.cookies.get(auth.COOKIE, ""))
    response = redirect("/sign-in", HTTPStatus.SEE_OTHER)
    response.delete_cookie(auth.COOKIE, path="/", httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@public("/preferences")
def preferences() -> ResponseReturnValue:
    """Remember a language or a theme in this browser, and go back."""
    response = redirect(local_path(request.args.get("next", "/")), HTTPStatus.SEE_OTHER)
    if (code := request.args.get("language")) in language.languages():
        _remember(response, language.COOKIE, str(code))
    if (theme := request.args.get("theme")) in THEMES:
        _remember(response, THEME_COOKIE, str(theme))
    return response


def _remember(response: Response, name: str, value: str) -> None:
    response.set_cookie(
        name, value, max_age=_A_YEAR_S, path="/", httponly=True, samesite="Lax", secure=request.is_secure
    )


def _same_origin() -> None:
    """See that the form is ours: no other page may sign a browser in.

    Raises:
        Forbidden: It came from another site.
    """
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site")
    if site not in {None, "same-origin", "none"} or (origin is not None and urlsplit(origin).netloc != request.host):
        raise Forbidden("Sign in on the console's own page.")
