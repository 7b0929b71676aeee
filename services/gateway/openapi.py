"""The OpenAPI document at ``/openapi.json``, and the pages that explain each problem type."""

from functools import cache
from typing import Any, cast

from flask import Flask, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from flask_openapi import OpenAPI
from pydantic import BaseModel

from services import errors, rejections
from services.errors import NotFound
from services.gateway.compreface.failures import Failure

_PROBLEM = "application/problem+json"
_PROBLEMS = ("400", "401", "403", "404", "408", "409", "413", "415", "422", "429", "503")
_FACADE = "/api/v1/"
_IDS = {"type": "array", "items": {"type": "string"}}
_FAILURES = ("400", "403", "404", "413", "429", "503")
_PHOTO_FORMS = {"/v1/people", "/v1/people/{person_id}/photos", "/v1/verify"}


class Problem(BaseModel):
    """Why a request was not fulfilled (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None


def register(app: Flask) -> None:
    """Add the document and the pages to *app*."""
    app.add_url_rule("/openapi.json", "openapi_document", document)
    app.add_url_rule("/problems/<path:name>", "problem_page", problem_page)


def document() -> ResponseReturnValue:
    """The API as OpenAPI describes it."""
    return jsonify(corrected(cast("OpenAPI", current_app).api_doc))


def corrected(spec: dict[str, Any]) -> dict[str, Any]:
    """flask-openapi's document with our error answers: an object of problem+json, not an array of JSON."""
    answer = {"description": "A problem", "content": {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    spec["components"]["schemas"]["Failure"] = Failure.model_json_schema()
    failure = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}}}
    for path, operations in spec["paths"].items():
        is_facade = path.startswith(_FACADE)
        for method, operation in operations.items():
            responses = operation["responses"]
            if is_facade:
                responses.pop("422", None)
                responses |= {status: {"description": "A failure", **failure} for status in _FAILURES}
            else:
                responses |= dict.fromkeys(_PROBLEMS, answer)
            if path == _FACADE + "recognition/faces/delete":
                operation["requestBody"] = {"content": {"application/json": {"schema": _IDS}}}
            if method == "post" and (path in _PHOTO_FORMS or is_facade):
                operation.setdefault(
                    "requestBody", {"content": {"multipart/form-data": {"schema": {"type": "object"}}}}
                )
    return spec


def problem_page(name: str) -> ResponseReturnValue:
    """What a problem type means and what to do about it."""
    explained = _explained().get(name)
    if explained is None:
        raise NotFound("problem type", name)
    title, status, text = explained
    return {"type": request.path, "title": title, "status": status, "explanation": text}


@cache
def _explained() -> dict[str, tuple[str, int, str]]:
    known: dict[str, tuple[str, int, str]] = {}
    below = [errors.ColegaError]
    while below:
        kind = below.pop()
        known[kind.type] = (kind.title, kind.status, " ".join((kind.__doc__ or "").split()))
        below += kind.__subclasses__()
    for reason, text in rejections.REJECTIONS.items():
        refused = errors.PhotoRefused(reason, text)
        known[refused.type] = (refused.title, refused.status, text)
    return known
