"""A TCP proxy that misbehaves when told to: it is late, cuts connections, answers errors of its own, or says nothing.

What toxiproxy does, in a thread of the test. It knows bytes, not protocols; only its error is an HTTP answer.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

_T = TypeVar("_T")
_PIECE = 64 * 1024
_ERROR = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Toxic:
    """How a proxy misbehaves."""

    late_s: float = 0.0
    """So much later each piece arrives, both ways."""
    errors: float = 0.0
    """The share of connections, 0 to 1, that are answered with HTTP 503."""
    cuts: float = 0.0
    """The share of pieces, 0 to 1, in whose place the connection is cut."""
    refuses: bool = False
    """Connections end at once."""
    silent: bool = False
    """It takes what is sent and says nothing."""


class Proxy:
    """In front of one server, from :meth:`start` until the ``with`` block ends."""

    def __init__(self, port: int, *, seed: int = 0) -> None:
        """In front of what listens on 127.0.0.1:*port*."""
        self.port = 0
        """Where it listens itself."""
        self._target = port
        self._toxic = Toxic()
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._ask(lambda: asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ask(self._end)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def misbehaving(self, **how: float | bool) -> Iterator[None]:
        """Misbehave within the block; connections of before are cut, so that all meet it."""
        self._ask(lambda: self._become(replace(Toxic(), **how)))  # type: ignore[arg-type]
        try:
            yield
        finally:
            self._ask(lambda: self._become(Toxic()))

    def cut(self) -> None:
        """Cut every connection once."""
        self._ask(self._cut)

    def _ask(self, what: Callable[[], Awaitable[_T]]) -> _T:
        async def asked() -> _T:
            return await what()

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result(30)

    async def _become(self, toxic: Toxic) -> None:
        self._toxic = toxic
        await self._cut()

    async def _cut(self) -> None:
        for connection in (cut := list(self._connections)):
            connection.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    async def _end(self) -> None:
        self._server.close()
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        self._connections.add(mine)
        try:
            await self._connection(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(mine)
            writer.transport.abort()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._toxic.refuses:
            return
        if self._toxic.silent:
            while await reader.read(_PIECE):
                pass
            return
        if self._chance.random() < self._toxic.errors:
            await reader.read(_PIECE)
            writer.write(_ERROR)
            await writer.drain()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            ways = [
                asyncio.ensure_future(self._pass(reader, there_writer)),
                asyncio.ensure_future(self._pass(there_reader, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            there_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(_PIECE):
            if self._chance.random() < self._toxic.cuts:
                return
            if self._toxic.late_s:
                await asyncio.sleep(self._toxic.late_s)
            writer.write(piece)
            await writer.drain()
