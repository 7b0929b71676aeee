"""A receiver of webhooks: a real HTTP server in the test's process that answers as it is told and remembers what came."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

TOLERANCE_S = 300


@dataclass(frozen=True)
class Came:
    """A request, and how it was answered."""

    path: str
    headers: dict[str, str]
    content: bytes
    status: int
    at: float

    @property
    def body(self) -> dict[str, Any]:
        """The event."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        found: dict[str, Any] = self.body["data"]
        return found


def is_signed(came: Came, secret: str) -> bool:
    """Whether *came* verifies, by what https://www.standardwebhooks.com says and nothing of ours."""
    headers = {name.lower(): value for name, value in came.headers.items()}
    if abs(time.time() - int(headers["webhook-timestamp"])) > TOLERANCE_S:
        return False
    assert secret.startswith("whsec_")
    signed = ".".join([headers["webhook-id"], headers["webhook-timestamp"], came.content.decode()])
    digest = hmac.new(base64.b64decode(secret[len("whsec_") :]), signed.encode(), hashlib.sha256).digest()
    versions = (one.split(",", 1) for one in headers["webhook-signature"].split(" "))
    return any(v == "v1" and hmac.compare_digest(base64.b64decode(s), digest) for v, s in versions)


class Receiver:
    """*answer* gets the event and says the status, or raises to break the connection off."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda _: 204) -> None:
        self.answer = answer
        self.headers: dict[str, str] = {}
        """What is sent back with every answer."""
        self.all: list[Came] = []
        """Every request in the order in which they came, refused ones included."""
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answer(json.loads(content))
                with receiver._lock:
                    receiver.all.append(Came(self.path, dict(self.headers), content, status, time.monotonic()))
                self.send_response(status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests look at what came."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A connection that was to break off."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    @property
    def taken(self) -> list[Came]:
        """What it answered with 2xx."""
        return [came for came in self.all if 200 <= came.status < 300]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
