"""Failures in CompreFace's shape, ``{"message", "code"}``, with its codes and its statuses, since its clients look at both."""

from collections.abc import Mapping
from typing import NoReturn

from flask import Response, abort, g, jsonify, request
from pydantic import BaseModel
from werkzeug.exceptions import HTTPException

from services.errors import ColegaError, Forbidden, NotFound, PhotoRefused, RateExceeded, Unauthorized, Unavailable
from services.logs import logger
from services.rejections import Rejection

KEY_HEADER = "x-api-key"

UNDEFINED, ACCESS_DENIED, NO_SUCH_KEY, NO_IMAGE, NO_HEADER, NOT_A_PHOTO = 0, 1, 10, 11, 20, 21
INVALID, NO_FACE, SEVERAL_FACES, NO_PARAMETER, NO_PART = 26, 28, 31, 33, 34
UNAVAILABLE, NO_SUBJECT, SUBJECT_EXISTS, NO_EXAMPLE = 41, 42, 43, 44

_OF_PHOTOS = {
    Rejection.NO_FACE: (NO_FACE, "No face is found in the given image"),
    Rejection.FACE_TOO_SMALL: (NO_FACE, None),
    Rejection.LOW_QUALITY: (NO_FACE, None),
    Rejection.SEVERAL_FACES: (SEVERAL_FACES, "More than one face in the source image"),
    Rejection.OTHER_PERSON: (INVALID, None),
    Rejection.PERSON_ERASED: (INVALID, None),
    Rejection.INVALID_NAME: (INVALID, None),
    Rejection.NO_BASIS: (INVALID, None),
    Rejection.NO_CONSENT: (INVALID, None),
}
"""Code and CompreFace's own words; every other rejection says that the file is no photo, in ours."""

_OF_KINDS = {"person": NO_SUBJECT, "subject": NO_SUBJECT, "face": NO_EXAMPLE, "object": NO_IMAGE}
_OF_ERRORS: Mapping[type[ColegaError], tuple[int, int]] = {
    Unauthorized: (404, NO_SUCH_KEY),
    NotFound: (404, NO_SUCH_KEY),
    Forbidden: (403, ACCESS_DENIED),
    RateExceeded: (429, UNAVAILABLE),
    Unavailable: (503, UNAVAILABLE),
}


class Failure(BaseModel):
    """Why a request was not fulfilled, as CompreFace says it."""

    message: str
    code: int


def refuse(code: int, message: str, status: int = 400) -> NoReturn:
    """Refuse the request in these words."""
    abort(_told(status, code, message))


def of_error(error: ColegaError) -> Response:
    """An error of ours, with the code and the status that CompreFace has for it."""
    status, code, message = _translated(error)
    response = _told(status, code, message)
    if isinstance(error, Unavailable):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def of_http(error: HTTPException) -> Response:
    """What Flask itself refuses, or :func:`refuse` did."""
    if isinstance(error.response, Response):
        return error.response
    if error.code == 413:
        limit_mb = (request.max_content_length or 0) // 2**20
        return _told(413, NOT_A_PHOTO, f"The request is larger than the {limit_mb} MB that are taken here.")
    return _told(error.code or 400, UNDEFINED, error.description or error.name)


def unforeseen(error: Exception) -> Response:
    """A fault of ours."""
    logger(request=g.get("request_id")).error("request.failed", path=request.path, exc_info=error)
    return _told(500, UNDEFINED, f"Something went wrong; the log has it under {g.get('request_id')}.")


def _translated(error: ColegaError) -> tuple[int, int, str]:
    """Status, code and message."""
    if isinstance(error, PhotoRefused):
        code, words = _OF_PHOTOS.get(error.reason, (NOT_A_PHOTO, None))
        return 400, code, words or str(error)
    if isinstance(error, Unauthorized) and KEY_HEADER not in request.headers:
        return 400, NO_HEADER, f"Missing header: {KEY_HEADER}"
    if isinstance(error, NotFound) and error.kind in _OF_KINDS:
        return 404, _OF_KINDS[error.kind], str(error)
    for kind, (status, code) in _OF_ERRORS.items():
        if isinstance(error, kind):
            return status, code, str(error)
    return (400, INVALID, str(error)) if error.status < 500 else (500, UNDEFINED, str(error))


def _told(status: int, code: int, message: str) -> Response:
    response = jsonify({"message": message, "code": code})
    response.status_code = status
    return response
