"""Free ports."""

import socket

import pytest

from services.errors import CannotStart
from services.local import ports


def test_each_name_gets_two_free_ports_below_those_lent_to_clients() -> None:
    """Its own, and the one for gRPC above it; no two alike."""
    chosen = ports.choose(["a", "b", "c"], {})
    numbers = [port + offset for port in chosen.values() for offset in (0, ports.GRPC_OFFSET)]

    assert len(set(numbers)) == 6
    assert all(ports.is_free(number) and number < 32768 for number in numbers)


def test_a_port_is_kept_while_it_is_free() -> None:
    """So that a second start is found where the first one was."""
    first = ports.choose(["a", "b"], {})

    assert ports.choose(["a", "b"], first) == first


@pytest.mark.parametrize("offset", [0, ports.GRPC_OFFSET])
def test_a_port_that_was_taken_meanwhile_is_chosen_again(offset: int) -> None:
    """The port itself or the one for gRPC."""
    first = ports.choose(["a", "b"], {})
    with socket.create_server(("127.0.0.1", first["a"] + offset)):
        second = ports.choose(["a", "b"], first)

    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


def test_the_public_port_is_the_one_asked_for_or_a_refusal() -> None:
    """Nobody is moved elsewhere without asking."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(CannotStart, match=str(taken)):
            ports.public(taken)


def test_without_a_wish_the_next_free_public_port_is_taken() -> None:
    """8000 as a rule; here a rule of the test's."""
    first = ports.choose(["a"], {})["a"]
    with socket.create_server(("127.0.0.1", first)):
        next_one = ports.public(None, usual=first)
    found = ports.public(None, usual=first)

    assert next_one.port > first
    assert found.port == first
    next_one.mark.close()
    found.mark.close()


def test_two_that_choose_before_either_listens_do_not_choose_the_same() -> None:
    """Between choosing and listening the gateway takes seconds to start."""
    first = ports.choose(["a"], {})["a"]
    one, other = ports.public(None, usual=first), ports.public(None, usual=first)
    with pytest.raises(CannotStart, match=str(one.port)):
        ports.public(one.port)
    one.mark.close()
    again = ports.public(one.port)

    assert (one.port, again.port) == (first, first)
    assert other.port > first
    for reserved in (other, again):
        reserved.mark.close()
