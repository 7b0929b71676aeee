"""The console's blueprint: what every page has in common. A page is a template and a view; what it changes goes over ``/v1``.

A view is opened with :func:`page`, which names the scope that its key needs, as a resource's door does. Its links carry the
collection along, so that two tabs may show two.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint, Response, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from services.catalog import collections, sessions
from services.catalog.privacy import bases
from services.errors import ColegaError, Forbidden, NotFound, Unauthorized, Unavailable
from services.gateway import problems
from services.gateway.console import assets, language, reasons
from services.gateway.console.language import gettext as _
from services.gateway.doors import SCOPES, gateway, key
from services.gateway.guarding import auth

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
    """The name of the collection that the page is about: the one that is asked for, else the first that the key may look at."""
    named = request.args.get(COLLECTION)
    allowed = key().collections if named is None and "key" in g else None
    if allowed is not None and collections.DEFAULT not in allowed:
        return min(allowed, default=collections.DEFAULT)
    return named or collections.DEFAULT


def wants_page() -> bool:
    """Whether the request is a browser's for a page, and not a script's for data."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"], default="application/json")
    return best == "text/html" and "HX-Request" not in request.headers


def failure(status: int, title: str, detail: str, said: str = "") -> ResponseReturnValue:
    """A page that says what went wrong and where to go from here; *said* is what the service says of it, in English."""
    return render_template("failure.html", status=status, title=title, detail=detail, said=said), status


@blueprint.before_request
def _in_a_collection() -> ResponseReturnValue | None:
    """No page of a collection that is not there; and each says in its address which one it is of, but for the default."""
    if "key" not in g or request.method != "GET":
        return None
    must_exist(collection())
    if COLLECTION not in request.args and collection() != collections.DEFAULT and wants_page():
        return redirect(f"{request.path}?{urlencode({**request.args, COLLECTION: collection()})}")
    return None


@blueprint.app_errorhandler(404)
@blueprint.app_errorhandler(405)
@blueprint.errorhandler(HTTPException)
def _refused(error: HTTPException) -> ResponseReturnValue:
    """What Flask itself refuses, as a page."""
    if not wants_page():
        return problems.of_http(error)
    auth.recognise()
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    if status == HTTPStatus.NOT_FOUND:
        return failure(status, _("There is nothing here"), _("No page has this address. Go on from the first page."))
    explained = reasons.of_problem("", status)
    return failure(status, explained.title, explained.advice)


@blueprint.errorhandler(Exception)
def _unforeseen(error: Exception) -> ResponseReturnValue:
    """A fault of ours, as a page: the log has it."""
    response = problems.unforeseen(error)
    if not wants_page():
        return response
    explained = reasons.of_problem("internal")
    return failure(response.status_code, explained.title, explained.advice, f"Request {g.get('request_id')}")


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
    if (other := _elsewhere(error)) is not None:
        return redirect(other)
    explained = reasons.of_problem(error.type, error.status)
    response = make_response(failure(error.status, explained.title, explained.advice, str(error)))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _elsewhere(error: ColegaError) -> str | None:
    """Where a key belongs that comes to a page it may not open, for no more reason than that everybody arrives there."""
    if request.method != "GET" or "key" not in g:
        return None
    if isinstance(error, Forbidden) and request.path == "/":
        return next((str(entry["url"]) for entry in _navigation()), None)
    return None


def sign_in_url(then: str) -> str:
    """Where to sign in, and where that leads to afterwards: a path of ours and nothing else."""
    return "/sign-in" if then in {"", "/"} else f"/sign-in?{urlencode({'next': then})}"


def local_path(wanted: str) -> str:
    """*wanted* if it is a path here, else the first page. No link may lead from us to elsewhere."""
    fine = (
        wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and "\\" not in wanted and wanted.isprintable()
    )
    return wanted if fine else "/"


@blueprint.after_app_request
def _finish(response: Response) -> Response:
    """What protects every page, those of failures included; reports and the API's description have policies of their own."""
    is_ours = request.blueprint == blueprint.name or (request.endpoint is None and response.mimetype == "text/html")
    if is_ours:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        response.vary.update(("Cookie", "Accept-Language"))
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("X-Frame-Options", "DENY")
    return response


@blueprint.app_url_defaults
def _keep_collection(endpoint: str, values: dict[str, Any]) -> None:
    """Links among pages stay in the collection that is looked at."""
    if endpoint.startswith("console.") and COLLECTION not in values and collection() != collections.DEFAULT:
        values[COLLECTION] = collection()


@blueprint.app_context_processor
def _shared() -> dict[str, Any]:
    """What every template may use."""
    signed_in = "key" in g
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
        "home": _home(),
        "session_s": _session_s(),
        "nobody_is_enrolled": _nobody_is_enrolled,
        "consented_notice": _consented_notice,
        "api": _api_url,
        "reasons": reasons,
    }


def _api_url(path: str, **query: Any) -> str:  # noqa: ANN401 - what a query may carry
    """A path below ``/v1`` in the collection that is looked at, for pictures and scripts."""
    wanted = {name: value for name, value in query.items() if value is not None}
    if collection() != collections.DEFAULT:
        wanted[COLLECTION] = collection()
    return f"/v1/{path}" + (f"?{urlencode(wanted)}" if wanted else "")


def _collections() -> list[str]:
    """The collections that the key may look at, by name."""
    known: list[str] | None = g.get("collection_names")
    if known is None:
        allowed = key().collections
        if g.get("without_catalog"):
            return [collection()]
        try:
            with gateway().catalog.reading() as session:
                names = sorted(one.name for one in collections.all_of(session))
        except ColegaError:
            return [collection()]
        known = g.collection_names = [name for name in names if allowed is None or name in allowed]
    return known


def _home() -> str:
    """The first page that the key may open, in a collection that there is."""
    if "key" not in g:
        return "/sign-in"
    first = next((entry for entry in _navigation()), None)
    names = _collections()
    whose = collection() if collection() in names or not names else names[0]
    where = {} if whose == collections.DEFAULT else {COLLECTION: whose}
    return (first["path"] if first else "/") + (f"?{urlencode(where)}" if where else "")


def _session_s() -> dict[str, int] | None:
    """How many seconds the session lasts: at the most, and without another request. None: there is none."""
    one = g.get("session")
    return None if one is None else {"longest": max(int(one.expires_at - time.time()), 0), "idle": int(sessions.IDLE_S)}


def _nobody_is_enrolled() -> bool:
    """Whether there is nobody to be recognised in the collection yet."""
    try:
        with gateway().catalog.reading() as session:
            return gateway().known.people(session, collections.by_name(session, collection())) == 0
    except ColegaError:
        return False


def _consented_notice() -> str | None:
    """Version of the notice that people agree to, where consent is the basis of the collection."""
    try:
        with gateway().catalog.reading() as session:
            one = collections.by_name(session, collection())
    except ColegaError:
        return None
    return bases.notice_of(one, None)[0] if bases.is_consent(one) else None


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
        ("audit", _("Audit")),
    )
    here = request.path
    found = []
    for name, label in entries:
        endpoint = f"console.{name}"
        if endpoint in SCOPES and auth.may(SCOPES[endpoint]):
            url = url_for(endpoint)
            path = url.partition("?")[0]
            current = here == path or (path != "/" and here.startswith(f"{path}/"))
            found.append({"name": name, "label": label, "url": url, "path": path, "current": current})
    return found


def must_exist(name: str) -> None:
    """See that the key may look at the collection *name*.

    Raises:
        NotFound: It may not, or there is none.
    """
    if name not in _collections():
        raise NotFound("collection", name)
