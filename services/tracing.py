"""Traces: OpenTelemetry's spans, sent over HTTP. Off by default: then it need not be installed, and a span costs a comparison.

What is told of a span are ids of ours, counts and times: never a name, a photo or a key.
"""

import importlib.util
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal

from services import installation
from services.settings.service import Tracing
from services.version import __version__

Kind = Literal["internal", "server", "client", "producer", "consumer"]

TRACEPARENT = "traceparent"
_SEND_EVERY_MS = 1000
_SENT_WITHIN_S = 5

_tracer: Any = None
_provider: Any = None


def configure(settings: Tracing, part: str) -> None:
    """Trace what this process does from now on, as *part* of colega; nothing where no endpoint is named.

    A process that forks calls it in each child: spans are sent by a thread.

    Raises:
        CannotStart: An endpoint is named and what it takes is not installed.
    """
    global _tracer, _provider  # noqa: PLW0603 - One a process, set when it starts.
    if not settings.traces_endpoint:
        return
    require(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - An extra.
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415

    told: dict[str, str | int] = {
        "service.name": f"colega-{part}",
        "service.namespace": "colega",
        "service.version": __version__,
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    exporter = OTLPSpanExporter(endpoint=settings.traces_endpoint, timeout=_SENT_WITHIN_S)
    _provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.traces_sample), resource=Resource(attributes=told)
    )
    _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_SEND_EVERY_MS))
    _tracer = _provider.get_tracer("colega", __version__)


def require(settings: Tracing) -> None:
    """See that this process can trace, if it is to.

    Raises:
        CannotStart: An endpoint is named and what it takes is not installed.
    """
    if not settings.traces_endpoint:
        return
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec("opentelemetry.exporter.otlp.proto.http") is not None:
            return
    raise installation.missing("tracing", "opentelemetry")


def is_on() -> bool:
    """Whether this process sends spans."""
    return _tracer is not None


def finish() -> None:
    """Send what is left, before the process ends without ceremony."""
    if _provider is not None:
        _provider.shutdown()


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str | None = None,
    **told: Any,  # noqa: ANN401 - what OpenTelemetry takes
) -> Iterator["Span"]:
    """A span around a block, below *parent* (a W3C ``traceparent``), else below the one that is open in this thread."""
    if _tracer is None:
        yield NOTHING
        return
    with _tracer.start_as_current_span(name, context=_context(parent), kind=_kind(kind), attributes=told) as opened:
        yield Span(opened)


def record(name: str, seconds: float, *, parent: str | None, **told: Any) -> None:  # noqa: ANN401 - as above
    """A span that ends now and took *seconds*, below *parent*; nothing without one."""
    if _tracer is None or parent is None:
        return
    until_ns = time.time_ns()
    begun_ns = until_ns - round(1e9 * seconds)
    opened = _tracer.start_span(
        name, context=_context(parent), kind=_kind("consumer"), attributes=told, start_time=begun_ns
    )
    opened.end(until_ns)


def stages(took_ms: Mapping[str, float]) -> None:
    """Steps that were measured on the way, as spans below the one that is open: one after the other, up to now."""
    if _tracer is None:
        return
    from opentelemetry import trace  # noqa: PLC0415 - Traces are on.

    if not trace.get_current_span().get_span_context().is_valid:
        return
    at_ns = time.time_ns() - round(1e6 * sum(took_ms.values()))
    for stage, ms in took_ms.items():
        until_ns = at_ns + round(1e6 * ms)
        _tracer.start_span(stage, start_time=at_ns).end(until_ns)
        at_ns = until_ns


class Span:
    """An open span; nothing where there are no traces."""

    __slots__ = ("_of",)

    def __init__(self, of: Any) -> None:  # noqa: ANN401 - OpenTelemetry's
        self._of = of

    def tell(self, **told: Any) -> None:  # noqa: ANN401 - what OpenTelemetry takes
        """Say more of it."""
        if self._of is not None:
            self._of.set_attributes(told)

    def call(self, name: str) -> None:
        """Name it anew, once it is known what it is."""
        if self._of is not None:
            self._of.update_name(name)

    def fail(self, kind: str) -> None:
        """Say that it has failed, by the type of the problem."""
        if self._of is not None:
            from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415 - Traces are on.

            self._of.set_attribute("error.type", kind)
            self._of.set_status(Status(StatusCode.ERROR))


NOTHING = Span(None)
"""Where there are no traces."""


def traceparent() -> str | None:
    """The span that is open in this thread, as W3C's header has it; None where there is none."""
    if _tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - Traces are on.

    of = trace.get_current_span().get_span_context()
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{int(of.trace_flags):02x}" if of.is_valid else None


def trace_id() -> str | None:
    """By which the trace is found whose span is open in this thread."""
    open_now = traceparent()
    return None if open_now is None else open_now.split("-")[1]


def _context(parent: str | None) -> Any:  # noqa: ANN401 - OpenTelemetry's
    """None is what is open in this thread."""
    if parent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - As above.

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parent})


def _kind(kind: Kind) -> Any:  # noqa: ANN401 - OpenTelemetry's
    from opentelemetry.trace import SpanKind  # noqa: PLC0415 - As above.

    return SpanKind[kind.upper()]
