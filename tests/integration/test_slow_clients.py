"""No client holds a thread by being slow: with its headers, its body, its answer, or in silence."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests import gatewayed
from tests.gatewayed import Alone

pytestmark = pytest.mark.slow

THREADS = 4
GRACE_S = 1.0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """A gateway of four threads and little patience."""
    patience: dict[str, Any] = {"COLEGA_CLIENT_GRACE_S": str(GRACE_S), "COLEGA_SLOWEST_CLIENT_KB_S": "1024"}
    with gatewayed.opened(tmp_path_factory.mktemp("slow"), COLEGA_GATEWAY_THREADS=str(THREADS), **patience) as alone:
        yield alone


@pytest.fixture
def slow(alone: Alone) -> Iterator[list[socket.socket]]:
    """Twice as many connections as there are threads."""
    connections = [socket.create_connection(("127.0.0.1", alone.door.port), timeout=30) for _ in range(2 * THREADS)]
    yield connections
    for connection in connections:
        connection.close()


def _answers(alone: Alone) -> bool:
    with alone.http() as http:
        answer = http.get("/health/live")
        assert answer.status_code == 200, answer.text
        return True


def _are_cut_off(connections: list[socket.socket]) -> bool:
    """Whether each ends, after an answer or without one."""
    for connection in connections:
        try:
            while connection.recv(65_536):
                pass
        except ConnectionError:
            continue
    return True


def _trickle(connections: list[socket.socket], done: threading.Event) -> threading.Thread:
    """A byte now and then, into all of them."""

    def send() -> None:
        while not done.wait(0.1):
            for connection in connections:
                try:
                    connection.send(b"x")
                except OSError:
                    continue

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_silent_connections_hold_no_thread(alone: Alone, slow: list[socket.socket]) -> None:
    assert _answers(alone)
    assert _are_cut_off(slow)


@pytest.mark.parametrize("part", ["headers", "body"])
def test_who_trickles_is_cut_off(alone: Alone, slow: list[socket.socket], part: str) -> None:
    head = "POST /v1/people HTTP/1.1\r\nHost: colega\r\nX-Slow: "
    if part == "body":
        head += f"1\r\nAuthorization: Bearer {alone.key}\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n"
    for connection in slow:
        connection.sendall(head.encode())
    done = threading.Event()
    thread = _trickle(slow, done)
    try:
        assert _answers(alone)
        assert _are_cut_off(slow)
    finally:
        done.set()
        thread.join()


def test_who_does_not_read_the_answer_is_cut_off(alone: Alone, slow: list[socket.socket]) -> None:
    with alone.http(Authorization=f"Bearer {alone.key}") as http:
        large = len(http.get("/openapi.json").content)
    request = b"GET /openapi.json HTTP/1.1\r\nHost: colega\r\n\r\n"
    for connection in slow:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(max(1, 20_000_000 // large)):
            connection.sendall(request)

    assert _answers(alone)


def test_a_body_that_came_too_slowly_is_told_so(alone: Alone) -> None:
    with socket.create_connection(("127.0.0.1", alone.door.port), timeout=30) as connection:
        head = f"POST /v1/people HTTP/1.1\r\nHost: colega\r\nAuthorization: Bearer {alone.key}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"/problems/too-slow" in answer


def test_an_answer_does_not_say_what_serves_it(alone: Alone) -> None:
    with alone.http() as http:
        answers = [http.get("/health/live"), http.get("/v1/people"), http.get("/nothing")]

    assert not [answer for answer in answers if "server" in answer.headers]
