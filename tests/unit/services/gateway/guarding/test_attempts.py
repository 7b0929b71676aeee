"""Attempts to sign in."""

import pytest

from services.gateway.guarding.attempts import Attempts

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the test says it."""
    now = [1000.0]
    monkeypatch.setattr("services.gateway.guarding.attempts.time.monotonic", lambda: now[0])
    return now


def test_whoever_fails_too_often_waits_and_nobody_else(clock: list[float]) -> None:
    tried = Attempts(most=3, within_s=60)
    for _ in range(3):
        assert tried.wait_s(HERE) == 0
        tried.failed(HERE)

    assert 0 < tried.wait_s(HERE) <= 61
    assert tried.wait_s(THERE) == 0
    clock[0] += 61
    assert tried.wait_s(HERE) == 0


def test_a_host_with_many_addresses_of_one_network_is_one(clock: list[float]) -> None:
    tried = Attempts(most=2)
    tried.failed("2001:db8::1")
    tried.failed("2001:db8::2")

    assert tried.wait_s("2001:db8::3") > 0
    assert tried.wait_s("2001:db8:0:1::1") == 0
    assert clock == [1000.0]


def test_no_more_addresses_are_remembered_than_allowed() -> None:
    tried = Attempts(most=1, addresses=2)
    for address in (HERE, THERE, "192.0.2.3"):
        tried.failed(address)

    assert [tried.wait_s(address) > 0 for address in (HERE, THERE, "192.0.2.3")] == [False, True, True]
