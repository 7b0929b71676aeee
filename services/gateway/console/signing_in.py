"""Signing in with an API key, signing out, and what a browser remembers: language and theme."""

from urllib.parse import urlsplit

from flask import redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response

from services.catalog import keys, sessions
from services.errors import Forbidden, Unauthorized
from services.gateway import auth
from services.gateway.console import language
from services.gateway.console.language import gettext as _
from services.gateway.console.pages import THEME_COOKIE, THEMES, local_path, page, public
from services.gateway.doors import gateway

_LONGEST_KEY = 256
_A_YEAR_S = 365 * 86_400


@public("/sign-in", methods=("GET", "POST"))
def sign_in() -> ResponseReturnValue:
    """Show a key once; a cookie stands for it until the session ends."""
    then = local_path(request.values.get("next", "/"))
    if request.method == "GET":
        return render_template("sign_in.html", then=then, refused=None)
    _same_origin()
    shown = request.form.get("key", "").strip()[:_LONGEST_KEY]
    try:
        with gateway().catalog.transaction() as session:
            cookie = sessions.begin(session, keys.check(session, shown))
    except Unauthorized:
        refused = _("This key is unknown, revoked or expired. Check that you have copied all of it.")
        return render_template("sign_in.html", then=then, refused=refused), 401
    response = redirect(then, 303)
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


@page("/sign-out", "search or enrol or read or manage or train", methods=("POST",))
def sign_out() -> ResponseReturnValue:
    """End the session."""
    with gateway().catalog.transaction() as session:
        sessions.end(session, request.cookies.get(auth.COOKIE, ""))
    response = redirect("/sign-in", 303)
    response.delete_cookie(auth.COOKIE, path="/", httponly=True, samesite="Lax", secure=request.is_secure)
    return response


@public("/preferences")
def preferences() -> ResponseReturnValue:
    """Remember a language or a theme in this browser, and go back."""
    response = redirect(local_path(request.args.get("next", "/")), 303)
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
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if site not in {"same-origin", "none"} or (
        origin not in {None, "null"} and urlsplit(origin or "").netloc != request.host
    ):
        raise Forbidden("Sign in on the console's own page.")
