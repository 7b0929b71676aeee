"""Problems: the only place where an error becomes HTTP. RFC 9457."""

from typing import NoReturn

from flask import Flask, Response, g, jsonify, request
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected, HTTPException

from services.errors import ColegaError, InvalidRequest, PhotoRefused, TooSlow, Unauthorized, Unavailable
from services.logs import logger
from services.rejections import Rejection

_OF_FLASK = {
    404: ("no-such-path", "There is nothing at this path"),
    405: ("method-not-allowed", "This path does not take that method"),
    415: ("unsupported-media-type", "The body is of a type that is not taken here"),
}


def register(app: Flask) -> None:
    """Answer every error of *app* as a problem."""
    app.register_error_handler(ColegaError, of_error)
    app.register_error_handler(HTTPException, of_http)
    app.register_error_handler(Exception, unforeseen)


def of_error(error: ColegaError) -> Response:
    """An error of ours as HTTP."""
    response = _problem(error.type, error.title, error.status, str(error))
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = 'Bearer realm="colega"'
    return response


def invalid(error: ValidationError) -> NoReturn:
    """Refuse a request that pydantic refused: the first thing that is wrong, without repeating what was sent.

    Raises:
        InvalidRequest: Always.
    """
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    raise InvalidRequest(f"{where}: {first['msg']}.") from None


def of_http(error: HTTPException) -> Response:
    """What Flask itself refuses."""
    if isinstance(error, ClientDisconnected) and getattr(request.environ.get("gunicorn.socket"), "ran_out", False):
        return of_error(TooSlow("The body of the request came too slowly. Send it over a faster line, or in parts."))
    if error.code == 413:
        detail = f"The request is larger than the {_size(request.max_content_length or 0)} that are taken here, or has too many parts."
        detail += " Send less at once, or scale photos down."
        return of_error(PhotoRefused(Rejection.TOO_LARGE, detail))
    kind, title = _OF_FLASK.get(error.code or 500, ("bad-request", error.name))
    return _problem(kind, title, error.code or 500, error.description or title)


def unforeseen(error: Exception) -> Response:
    """A fault of ours: the caller is told no more than its number in the log."""
    rule = None if request.url_rule is None else request.url_rule.rule  # Not the path, which says whom it was about.
    logger(request=g.get("request_id")).error("request.failed", rule=rule, exc_info=error)
    return _problem(
        ColegaError.type, ColegaError.title, 500, "This is a fault of colega's; the log has it under this request's id."
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes // 2**20} MB" if size_bytes >= 2**20 else f"{size_bytes // 1024} kB"


def _problem(kind: str, title: str, status: int, detail: str) -> Response:
    g.problem = kind
    body = {
        "type": f"/problems/{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "request_id": g.get("request_id"),
    }
    response = jsonify(body)
    response.status_code = status
    response.content_type = "application/problem+json"
    return response
