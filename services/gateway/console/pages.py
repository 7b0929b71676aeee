"""The console's blueprint: what every page has in common. A page is a template and a view; what it changes goes over ``/v1``.

A view is opened with :func:`page`, which names the scope that its key needs, as a resource's door does. Its links carry the
collection along, so that two tabs may show two.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from services.catalog import collections
from services.errors import ColegaError, NotFound, Unauthorized
from services.gateway import auth, problems
from services.gateway.console import assets, language
from services.gateway.console.language import gettext as _
from services.gateway.doors import SCOPES, gateway, key

blueprint = Blueprint("console", __name__, template_folder="templates")

COLLECTION = "collection"
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "colega_theme"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing written into the page itself."""

_F = TypeVar("_F", bound=Callable[..., Any])


def page(rule: str, scope: str, *, methods: tuple[str, ...] = ("GET",)) -> Callable[[_F], _F]:
    """A view at *rule* for keys with *scope* (one, or ``one or another``); others do not see a link to it."""

    def opened(view: _F) -> _F:
        SCOPES[f"console.{view.__name__}"] = scope
        return blueprint.route(rule, methods=list(methods))(view)

    return opened


def public(rule: str, *, methods: tuple[str, ...] = ("GET",)) -> Callable[[_F], _F]:
    """A view at *rule* for which nobody has to be signed in."""

    def opened(view: _F) -> _F:
        auth.PUBLIC.add(f"console.{view.__name__}")
        return blueprint.route(rule, methods=list(methods))(view)

    return opened


def collection() -> str:
    """The name of the collection that the page is about."""
    return request.args.get(COLLECTION, collections.DEFAULT)


def wants_page() -> bool:
    """Whether the request is a browser's for a page, and not a script's for data."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], default="application/json")
    return best == "text/html" and "HX-Request" not in request.headers


def failure(status: int, title: str, detail: str) -> ResponseReturnValue:
    """A page that says what went wrong and where to go from here."""
    return render_template("failure.html", status=status, title=title, detail=detail), status


@blueprint.app_errorhandler(404)
def _not_found(error: HTTPException) -> ResponseReturnValue:
    if wants_page():
        return failure(
            404, _("There is nothing here"), _("No page has this address. The links above lead to all there are.")
        )
    return problems.of_http(error)


@blueprint.errorhandler(ColegaError)
def _failed(error: ColegaError) -> ResponseReturnValue:
    """An error in a page, as a page; who is not signed in is asked to, and comes back."""
    if not wants_page():
        response = problems.of_error(error)
        if isinstance(error, Unauthorized):
            response.headers["HX-Redirect"] = sign_in_url(request.headers.get("HX-Current-URL", ""))
        return response
    if isinstance(error, Unauthorized):
        return redirect(sign_in_url(request.full_path if request.query_string else request.path))
    return failure(error.status, _(error.title), str(error))


def sign_in_url(then: str) -> str:
    """Where to sign in, and where that leads to afterwards: a path of ours and nothing else."""
    return "/sign-in" if then in {"", "/"} else f"/sign-in?{urlencode({'next': then})}"


def local_path(wanted: str) -> str:
    """*wanted* if it is a path here, else the first page. No link may lead from us to elsewhere."""
    fine = (
        wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and "\\" not in wanted and wanted.isprintable()
    )
    return wanted if fine else "/"


@blueprint.after_request
def _finish(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
    response.vary.update(("Cookie", "Accept-Language"))
    return response


@blueprint.app_url_defaults
def _keep_collection(endpoint: str, values: dict[str, Any]) -> None:
    """Links among pages stay in the collection that is looked at."""
    if endpoint.startswith("console.") and COLLECTION not in values and collection() != collections.DEFAULT:
        values[COLLECTION] = collection()


@blueprint.app_context_processor
def _shared() -> dict[str, Any]:
    """What every template may use."""
    signed_in = g.get("key") is not None
    cookie = request.cookies.get(auth.COOKIE, "")
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return {
        "asset": assets.url,
        "language": language.language(),
        "languages": language.languages().values(),
        "theme": theme if theme in THEMES else "auto",
        "themes": THEMES,
        "signed_in": signed_in,
        "key_name": key().name if signed_in else None,
        "may": auth.may if signed_in else lambda _scope: False,
        "csrf_token": auth.token_of(cookie) if cookie else "",
        "collection": collection(),
        "collections": _collections() if signed_in else [],
        "navigation": _navigation() if signed_in else [],
        "api": _api_url,
    }


def _api_url(path: str, **query: Any) -> str:  # noqa: ANN401 - what a query may carry
    """A path below ``/v1`` in the collection that is looked at, for pictures and scripts."""
    wanted = {name: value for name, value in query.items() if value is not None}
    if collection() != collections.DEFAULT:
        wanted[COLLECTION] = collection()
    return f"/v1/{path}" + (f"?{urlencode(wanted)}" if wanted else "")


def _collections() -> list[str]:
    """The collections that the key may look at, by name."""
    allowed = key().collections
    try:
        with gateway().catalog.reading() as session:
            names = sorted(one.name for one in collections.all_of(session))
    except ColegaError:
        return [collection()]
    return [name for name in names if allowed is None or name in allowed]


def _navigation() -> list[dict[str, Any]]:
    """The pages that the key may open, in their order."""
    entries = (
        ("who", _("Who is this?")),
        ("live", _("Live")),
        ("enrol", _("Enrol")),
        ("people", _("People")),
        ("imports", _("Import")),
        ("review", _("Review")),
        ("models", _("Models")),
        ("status", _("Status")),
    )
    here = request.path
    found = []
    for name, label in entries:
        endpoint = f"console.{name}"
        if endpoint in SCOPES and auth.may(SCOPES[endpoint]):
            url = url_for(endpoint)
            path = url.partition("?")[0]
            current = here == path or (path != "/" and here.startswith(f"{path}/"))
            found.append({"name": name, "label": label, "url": url, "current": current})
    return found


def must_exist(name: str) -> None:
    """See that the key may look at the collection *name*.

    Raises:
        NotFound: It may not, or there is none.
    """
    if name not in _collections():
        raise NotFound("collection", name)
