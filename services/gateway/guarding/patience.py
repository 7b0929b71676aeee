"""Patience with slow clients: how long a thread of the gateway waits for one, and no longer.

A thread is held by a request from its first byte to the last byte of its answer. A client that sends or reads slowly, or not at
all, would hold one for ever; a few dozen of those would be the end of the service.
"""

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TooSlow(ConnectionResetError):
    """A client has sent or read too slowly. To everybody who asks no further, it has gone."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the client was too slow")


class Patient:
    """A connected socket with a thread behind it that does not wait for ever.

    The head of a request has *grace_s* seconds in all. A body, and an answer, has as many and what it takes at *slowest* bytes a
    second besides. Everything else is the socket's own.

    Args:
        of: Blocking; over TLS after its handshake.
        grace_s: So long anybody may take, however little comes.
        slowest: Bytes a second.
    """

    def __init__(self, of: socket.socket, grace_s: float, slowest: int) -> None:
        self._of, self._grace_s, self._slowest = of, grace_s, slowest
        self._given_s: float | None = None
        self.ran_out = False
        """Whether :class:`TooSlow` was raised."""
        self.begin()

    def begin(self) -> None:
        """A request may come."""
        self._waited_s, self._moved_bytes, self._answers = 0.0, 0, False

    def head_is_there(self) -> None:
        """What comes from now on is its body."""
        self.begin()

    def recv(self, size: int, *flags: int) -> bytes:
        """As the socket's.

        Raises:
            TooSlow: The client was.
        """
        with self._waiting(0):
            data = self._of.recv(size, *flags)
        self._moved_bytes += len(data)
        return data

    def sendall(self, data: bytes, *flags: int) -> None:
        """As the socket's.

        Raises:
            TooSlow: The client does not read.
        """
        if not self._answers:
            self.begin()  # The answer has its own time.
            self._answers = True
        with self._waiting(len(data)):
            self._of.sendall(data, *flags)
        self._moved_bytes += len(data)

    def settimeout(self, timeout_s: float | None) -> None:
        """A shorter time than the usual for each call."""
        self._given_s = timeout_s
        self._of.settimeout(timeout_s)

    def gettimeout(self) -> float | None:
        """What was set; not what is left of it."""
        return self._given_s

    def setblocking(self, flag: bool) -> None:
        """Whether calls wait at all."""
        self.settimeout(None if flag else 0.0)

    def fileno(self) -> int:
        """By which the poller knows it."""
        return self._of.fileno()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the socket has
        return getattr(self._of, name)

    @contextmanager
    def _waiting(self, more_bytes: int) -> Iterator[None]:
        """A call that may wait: as long as there is left. Only what is spent waiting for the client counts."""
        left_s = self._grace_s + (self._moved_bytes + more_bytes) / self._slowest - self._waited_s
        if left_s <= 0:
            raise self._too_slow()
        self._of.settimeout(left_s if self._given_s is None else min(left_s, self._given_s))
        began = time.monotonic()
        try:
            yield
        except TimeoutError:
            if self._given_s is not None and self._given_s < left_s:
                raise
            raise self._too_slow() from None
        finally:
            self._waited_s += time.monotonic() - began

    def _too_slow(self) -> TooSlow:
        self.ran_out = True
        return TooSlow()
