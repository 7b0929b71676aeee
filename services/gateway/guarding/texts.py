"""Texts: what comes as one is seen to be one that can be kept, before anything is done with it."""

import re

from flask import request

from services.errors import InvalidRequest

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""No database keeps a NUL; half of a surrogate pair is no character."""


def require_text(text: str, where: str) -> None:
    """See that *text* can be kept.

    Raises:
        InvalidRequest: It cannot.
    """
    if _NO_TEXT.search(text):
        raise InvalidRequest(f"{where}: a NUL, or half of a surrogate pair, is no character.")


def require_plain() -> None:
    """See that path and query of the request are texts that can be kept.

    Raises:
        InvalidRequest: They are not.
    """
    for value in (request.view_args or {}).values():
        require_text(str(value), "path")
    for name, value in request.args.items(multi=True):
        require_text(f"{name}{value}", "query")
