"""A connection to PostgreSQL that does not wait for ever: one that hangs is given up, and so is what was asked."""

from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.errors import OperationalError

_R = TypeVar("_R")

_LOOKS_EVERY_S = 0.1


class Impatient(psycopg.Connection[Any]):
    """As psycopg's; what the server does not answer in time is an ``OperationalError``, and the connection is closed."""

    answers_within_s: float = 60.0

    def wait(
        self,
        gen: Generator[Any, Any, _R],
        interval: float = _LOOKS_EVERY_S,
        timeout: float | None = None,
    ) -> _R:
        """Wait for an answer; every wait of the connection's comes this way."""
        within_s = self.answers_within_s if timeout is None else timeout
        try:
            return waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=within_s)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - It has no other name.
            self.pgconn.finish()
            raise OperationalError(f"no answer within {within_s:g} s: the connection is lost") from None
