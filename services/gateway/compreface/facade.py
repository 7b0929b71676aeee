"""The facade: CompreFace's API under ``/api/v1``, for clients that people already have (docs/compreface.md).

Its doors know a key by the header ``x-api-key`` and need the same scopes as ours; errors have CompreFace's shape.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask_openapi import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import HTTPException

from services.catalog import collections
from services.errors import ColegaError, Forbidden
from services.gateway.compreface import failures
from services.gateway.doors import PHOTOS_AT_ONCE, PHOTOS_IN_JSON, key, opened

NAME = "compreface"

_BASE64 = 4 / 3

_F = TypeVar("_F", bound=Callable[..., Any])

facade = APIBlueprint(
    NAME,
    __name__,
    url_prefix="/api/v1",
    abp_tags=[Tag(name=NAME, description="What clients of CompreFace speak: docs/compreface.md")],
)
facade.register_error_handler(ColegaError, failures.of_error)
facade.register_error_handler(HTTPException, failures.of_http)
facade.register_error_handler(Exception, failures.unforeseen)


class Asked(BaseModel):
    """What a request may carry; what is not known is passed over, as CompreFace does."""

    model_config = ConfigDict(extra="ignore")


def door(
    method: str,
    rule: str,
    scope: str,
    *,
    photos: int = 0,
    **documented: Any,  # noqa: ANN401 - flask-openapi's
) -> Callable[[_F], _F]:
    """A route for keys with *scope*, whose body has as many *photos*, as multipart/form-data or as base64 in JSON."""

    def added(function: _F) -> _F:
        if photos:
            endpoint = f"{NAME}.{function.__name__}"
            PHOTOS_AT_ONCE[endpoint] = photos * _BASE64
            PHOTOS_IN_JSON.add(endpoint)
        return opened(
            facade,
            method,
            rule,
            scope,
            function,
            in_memory=photos > 0,
            shown_as="x-api-key",
            strict_slashes=False,
            **documented,
        )

    return added


def collection() -> str:
    """The collection that the request's key stands for: the one that it is limited to, else ``default``.

    Raises:
        Forbidden: It is limited to several others; CompreFace's API has no way to say which.
    """
    allowed = key().collections
    if allowed is None or collections.DEFAULT in allowed:
        return collections.DEFAULT
    if len(allowed) == 1:
        return allowed[0]
    raise Forbidden("Over this API a key stands for one collection. Make one that is limited to a single collection.")
