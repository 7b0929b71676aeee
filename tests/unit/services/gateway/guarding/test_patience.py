"""A client has its time and no more; only what is spent waiting for it counts."""

import socket
from collections.abc import Iterator

import pytest

from services.gateway.guarding.patience import Patient, TooSlow


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_is_there_is_read_however_late(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"GET /")

    assert Patient(ours, 0.05, 1024).recv(100) == b"GET /"


def test_who_sends_nothing_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    patient = Patient(pair[0], 0.05, 1024)

    with pytest.raises(TooSlow):
        patient.recv(100)
    assert patient.ran_out


def test_a_trickle_has_no_more_time_than_silence(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    patient = Patient(ours, 0.2, 1_000_000)

    def trickle() -> None:
        while True:
            patient.recv(1)  # Waits for nothing: the next is sent when this has come.

    theirs.sendall(b"x" * 50)
    with pytest.raises(TooSlow):
        trickle()


def test_who_does_not_read_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(TooSlow):
        Patient(pair[0], 0.05, 100_000_000).sendall(bytes(10_000_000))


def test_a_new_request_has_its_own_time(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    patient = Patient(ours, 0.05, 1024)
    with pytest.raises(TooSlow):
        patient.recv(100)

    theirs.sendall(b"x")
    patient.begin()

    assert patient.recv(100) == b"x"


def test_a_shorter_time_that_was_set_holds_and_is_no_fault_of_the_client(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    patient = Patient(pair[0], 30.0, 1024)
    patient.settimeout(0.01)

    with pytest.raises(TimeoutError):
        patient.recv(100)
    assert not patient.ran_out
