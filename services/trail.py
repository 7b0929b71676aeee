"""Trails: by which the lines and spans of one request are found, from process to process.

A request's number stands in every line that is written on its behalf, here and, carried in messages beside what they ask, in the
processes that work for it. So does the number of its trace, where there are traces. A message of a version that carries none is
as good.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import Any

from structlog import contextvars

from services import tracing
from services.tracing import TRACEPARENT, Kind, Span

REQUEST, TRACE = "request", "trace"

Trail = Mapping[str, str]
"""What a message carries: ``request``, and ``traceparent`` where there are traces."""

NONE: Trail = MappingProxyType({})
"""Of what nobody asked for."""


def begin(request_id: str) -> None:
    """Forget what this thread did before: from now on it works for that request."""
    contextvars.clear_contextvars()
    contextvars.bind_contextvars(**{REQUEST: request_id})


def mark() -> None:
    """Have lines tell which trace they belong to: that whose span is open now."""
    if (number := tracing.trace_id()) is not None:
        contextvars.bind_contextvars(**{TRACE: number})


def carried() -> dict[str, str]:
    """What a message takes along from this thread."""
    found = {REQUEST: contextvars.get_contextvars().get(REQUEST), TRACEPARENT: tracing.traceparent()}
    return {name: value for name, value in found.items() if value is not None}


def of_message(message: object) -> Trail:
    """What came along with a message; nothing of one that carries something else there."""
    if not isinstance(message, Mapping):
        return NONE
    return {n: v for n in (REQUEST, TRACEPARENT) if isinstance(v := message.get(n), str) and len(v) <= 64}


@contextmanager
def followed(
    trail: Trail,
    name: str,
    *,
    kind: Kind = "consumer",
    **told: Any,  # noqa: ANN401 - what OpenTelemetry takes
) -> Iterator[Span]:
    """Work for the request of *trail* in this block, as a span *name* where it has a trace."""
    parent = trail.get(TRACEPARENT)
    opened = tracing.span(name, kind=kind, parent=parent, **told) if parent else nullcontext(tracing.NOTHING)
    with opened as span:
        lines = {REQUEST: trail.get(REQUEST), TRACE: tracing.trace_id()}
        with contextvars.bound_contextvars(**{n: v for n, v in lines.items() if v is not None}):
            yield span
