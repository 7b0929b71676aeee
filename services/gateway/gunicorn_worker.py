"""Gunicorn's worker of threads, made patient: nobody holds a thread by being slow, and no answer says what serves it."""

import errno
import selectors
import time
from functools import partial
from typing import Any

from gunicorn import http, sock, util
from gunicorn.http import wsgi
from gunicorn.workers.gthread import TConn, ThreadWorker

from services.gateway.guarding.patience import Patient
from services.settings.door import DoorSettings
from services.settings.service import Environment

_LINGER_S = 1.0
"""A client that is still sending has so long to read why nobody listens any more."""

_settings = Environment.of_process().load(DoorSettings)


class Connection(TConn):  # type: ignore[misc] # Gunicorn has no types.
    """A connection whose socket is patient, from the handshake on."""

    initialized: bool
    sock: Any
    parser: Any

    def init(self) -> None:
        """In a thread, when the first byte is there."""
        if self.initialized:
            return
        self.initialized = True
        self.sock.settimeout(_settings.client_grace_s)  # Of a handshake: in all.
        if self.cfg.is_ssl:
            self.sock = sock.ssl_wrap_socket(self.sock, self.cfg)
            if not self.cfg.do_handshake_on_connect:
                self.sock.do_handshake()
        self.sock = Patient(self.sock, _settings.client_grace_s, _settings.slowest_client_kb_s * 1024)
        self.sock.setblocking(True)
        self.parser = http.get_parser(self.cfg, self.sock, self.client)

    def close(self, graceful: bool = False) -> None:
        """At once: the one thread that takes connections does this. Whoever served it has waited for the client to go."""
        del graceful
        util.close(self.sock)


class Worker(ThreadWorker):  # type: ignore[misc]
    """One process of many threads."""

    def accept(self, listener: Any) -> None:  # noqa: ANN401 - gunicorn's
        """Take a connection. It gets a thread when something has come, and is closed where nothing comes."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK}:
                raise
            return
        self.nr_conns += 1
        connection = Connection(self.cfg, client, address, listener.getsockname())
        connection.timeout = time.monotonic() + _settings.client_grace_s
        self.pending_conns.append(connection)
        waiting = partial(self.on_pending_socket_readable, connection)
        self.poller.register(connection.sock, selectors.EVENT_READ, waiting)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401
        """A request, in a thread."""
        if conn.initialized:
            conn.sock.begin()
        goes_on = super().handle(conn)
        if not goes_on:
            util.close_graceful(conn.sock, timeout=_LINGER_S)
        return goes_on

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401
        """A request whose head is there."""
        conn.sock.head_is_there()
        return super().handle_request(req, conn)


class _Quiet(wsgi.Response):  # type: ignore[misc]
    """An answer that does not say what serves it, and that says when it is the last of its connection."""

    def default_headers(self) -> list[str]:
        """What gunicorn sends with every answer."""
        if getattr(getattr(self.req.body, "reader", None), "length", 0):
            self.force_close()  # The request was refused with its body unread: nobody finds the next one behind that.
        return [line for line in super().default_headers() if not line.startswith("Server:")]


wsgi.Response = _Quiet  # There is no setting for it.
