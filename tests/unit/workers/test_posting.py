"""One POST to a webhook: within a deadline, to an address that was looked at, and no further."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.receiver import Receiver, is_signed
from workers import posting
from workers.posting import Answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT = "evt_1"
TRUST = ssl.create_default_context()


def post(url: str, *, private: bool = True, within_s: float = 2.0) -> Answer:
    return posting.post(url, SECRET, EVENT, {"a": "ñ"}, private=private, trust=TRUST, within_s=within_s)


@contextmanager
def answering(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with its one connection what *talk* does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                with suppress(OSError):  # The other side has enough.
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


def test_the_signature_is_that_of_the_published_example() -> None:
    """From the test vectors of Standard Webhooks."""
    content = b'{"test": 2432232314}'

    assert posting.signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, content) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_what_arrives_is_what_was_signed() -> None:
    with Receiver() as receiver:
        assert post(receiver.url) == Answer(204, None)

        assert is_signed(receiver.all[0], SECRET)
        assert receiver.all[0].content == '{"a":"ñ"}'.encode()


def test_redirects_are_not_followed() -> None:
    with Receiver(lambda _: 302) as receiver:
        receiver.headers["Location"] = receiver.url
        answer = post(receiver.url)

        assert answer.status == 302
        assert "Redirects are not followed" in str(answer.error)
        assert len(receiver.all) == 1


@pytest.mark.slow
def test_an_answer_that_trickles_in_is_not_waited_for() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while True:
            connection.sendall(b"a")
            time.sleep(0.05)

    with answering(trickle) as url:
        began = time.monotonic()
        answer = post(url, within_s=0.6)

    assert answer.error == "No answer within 1 s."
    assert time.monotonic() - began < 2.0


@pytest.mark.slow
def test_an_endless_answer_is_cut_off() -> None:
    sent = 0

    def talk(connection: socket.socket) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
            sent += 0x4000

    with answering(talk) as url:
        assert post(url) == Answer(200, None)

    assert sent < 50_000_000


def test_an_event_that_was_taken_is_taken_whatever_follows() -> None:
    with answering(lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")) as url:
        assert post(url) == Answer(200, None)


def test_what_is_no_http_is_an_error_like_others() -> None:
    with answering(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")) as url:
        answer = post(url)

    assert answer.status is None
    assert "The connection broke" in str(answer.error)


def test_a_name_that_leads_elsewhere_a_moment_later_is_not_followed_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    real = socket.getaddrinfo

    def rebinding(host: str, *more: object, **how: object) -> object:
        nonlocal asked
        if host != "rebinding.example":
            return real(host, *more, **how)  # type: ignore[arg-type]
        asked += 1
        address = "127.0.0.1" if asked == 1 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "rebinding.example")
        assert post(url) == Answer(204, None)
        assert receiver.all[0].headers["Host"].startswith("rebinding.example:")
        assert "webhooks never go" in str(post(url).error)
        assert len(receiver.all) == 1


def test_private_addresses_are_refused_where_they_are_not_allowed() -> None:
    with Receiver() as receiver:
        answer = post(receiver.url, private=False)

        assert answer.status is None
        assert "COLEGA_WEBHOOK_PRIVATE=true" in str(answer.error)
        assert receiver.all == []


def test_where_nobody_listens_that_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert "refused" in str(post(f"http://127.0.0.1:{port}/").error)


def test_http_where_tls_is_expected_is_said() -> None:
    with Receiver() as receiver:
        assert "TLS" in str(post(receiver.url.replace("http:", "https:")).error)
