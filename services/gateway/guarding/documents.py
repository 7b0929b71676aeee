"""Documents: JSON as it is taken: so large, so deep, so many values, and no character that cannot be kept."""

import json
from typing import Any, NoReturn

from flask import has_request_context
from flask.json.provider import DefaultJSONProvider

from services.errors import InvalidRequest
from services.gateway.doors import gateway
from services.gateway.guarding import texts


class Documents(DefaultJSONProvider):
    """Flask's JSON, bounded where it comes in with a request."""

    ensure_ascii = False

    def loads(self, s: str | bytes, **how: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
        """A document of a request.

        Raises:
            InvalidRequest: It is nested too deeply, has too many values, a number that is none, or a character that is none.
            ValueError: It is no JSON.
        """
        return bounded(super().loads, s, **how) if has_request_context() else super().loads(s, **how)


def read(text: str | bytes) -> Any:  # noqa: ANN401
    """JSON that comes as a field of a form or of a query; as :meth:`Documents.loads`."""
    return bounded(json.loads, text)


def bounded(loads: Any, text: str | bytes, **how: Any) -> Any:  # noqa: ANN401
    """What *loads* makes of *text*.

    Raises:
        InvalidRequest: As :meth:`Documents.loads`.
        ValueError: It is no JSON.
    """
    try:
        found = loads(text, parse_constant=_no_number, **how)
    except RecursionError:
        raise _too_deep() from None
    _look_through(found)
    return found


def _look_through(document: object) -> None:
    limits = gateway().door
    level, count = [document], 0
    for depth in range(limits.max_json_depth + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                texts.require_text(value, "body")
            elif isinstance(value, list | dict):
                if depth == limits.max_json_depth:
                    raise _too_deep()
                if isinstance(value, dict):
                    below += value.keys()
                    below += value.values()
                else:
                    below += value
        count += len(below)
        if count > limits.max_json_values:
            raise InvalidRequest(f"body: more than {limits.max_json_values:,} keys and values. Send less at once.")
        if not below:
            return
        level = below


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"body: nested more than {gateway().door.max_json_depth} deep.")


def _no_number(constant: str) -> NoReturn:
    raise InvalidRequest(f"body: {constant} is no number of JSON.")
