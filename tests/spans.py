"""A receiver of spans: OTLP over HTTP, as a collector takes them."""

import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """What came of one."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    """Empty of the first."""
    told: dict[str, str]


class Receiver:
    """Listens in a ``with`` block."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805 - http.server's name; the receiver is in the closure.
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                if handler.headers.get("Content-Encoding") == "gzip":
                    import gzip

                    body = gzip.decompress(body)
                self._take(ExportTraceServiceRequest.FromString(body))
                handler.send_response(200)
                handler.send_header("Content-Length", "0")
                handler.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """Where spans are sent."""
        return f"http://127.0.0.1:{self._server.server_port}/v1/traces"

    def spans(self) -> list[Span]:
        """All that came so far."""
        with self._lock:
            return list(self._spans)

    def traces(self) -> dict[str, list[Span]]:
        """By trace."""
        found: dict[str, list[Span]] = defaultdict(list)
        for span in self.spans():
            found[span.trace].append(span)
        return found

    def _take(self, message: Any) -> None:
        with self._lock:
            for resource in message.resource_spans:
                service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        told = {a.key: str(a.value).strip() for a in span.attributes}
                        ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
                        self._spans.append(Span(service, span.name, *ids, told))


def is_connected(trace: list[Span]) -> bool:
    """Whether all spans of a trace hang together below one."""
    known = {span.id for span in trace}
    return sum(span.parent not in known for span in trace) == 1
