"""Lines: each request has a number, a line in the log at its end, and a span where there are traces.

A line tells the rule that answered and not the path, the key's id and not the key, sizes and not what was sent.
"""

import logging
import secrets
import time
from contextlib import ExitStack

from flask import Response, g, request
from gunicorn.glogging import Logger

from services import tracing, trail
from services.logs import logger
from services.tracing import TRACEPARENT

QUIET = {"live", "ready", "metrics", "asset"}
"""Asked for every few seconds, or many times a page: told of at the level ``debug``."""


def begin() -> None:
    """Number the request: as its caller did, where that is a number."""
    g.started = time.perf_counter()
    given = request.headers.get("X-Request-ID", "")
    sane = 8 <= len(given) <= 64 and all(c.isalnum() or c in "-_" for c in given) and given.isascii()
    g.request_id = given if sane else secrets.token_hex(8)
    trail.begin(g.request_id)
    if tracing.is_on() and request.endpoint not in QUIET:
        g.spans = ExitStack()
        g.span = g.spans.enter_context(
            tracing.span(
                f"{request.method} {_rule()}",
                kind="server",
                parent=request.headers.get(TRACEPARENT),
                **{"http.request.method": request.method, "http.route": _rule(), "colega.request": g.request_id},
            )
        )
        trail.mark()


def answered(response: Response) -> None:
    """Write the line."""
    key = g.get("key")
    told = {
        "method": request.method,
        "rule": _rule(),
        "status": response.status_code,
        "ms": round(1000 * (time.perf_counter() - g.started), 1),
        "key": None if key is None else key.public_id,
        "received_bytes": request.content_length,
        "sent_bytes": response.content_length,
    }
    write = logger().debug if request.endpoint in QUIET else logger().info
    write("request.answered", **told)
    if "span" in g:
        g.span.tell(**{"http.response.status_code": response.status_code})
        if response.status_code >= 500:
            g.span.fail(str(response.status_code))


def end(_: BaseException | None = None) -> None:
    """End the span."""
    spans: ExitStack | None = g.pop("spans", None)
    if spans is not None:
        spans.close()


def _rule() -> str:
    return "none" if request.url_rule is None else request.url_rule.rule


class Lines(Logger):  # type: ignore[misc] # Gunicorn has no types.
    """What gunicorn says, as lines like all others."""

    def setup(self, cfg: object) -> None:
        """Hand it on to the log of the process."""
        super().setup(cfg)
        for each in (self.error_log, self.access_log):
            for handler in each.handlers[:]:
                each.removeHandler(handler)
            each.propagate = True
        self.error_log.setLevel(logging.WARNING)
