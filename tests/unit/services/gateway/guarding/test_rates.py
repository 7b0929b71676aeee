"""Rates: bursts are taken, and no more than the rate in the long run."""

from services.gateway.guarding.rates import Rate


def test_a_burst_is_taken_and_then_the_rate() -> None:
    moment = 0.0
    rate = Rate(2.0, 5, lambda: moment)

    assert [rate.take() for _ in range(6)] == [True] * 5 + [False]
    moment = 0.4
    assert not rate.take()
    moment = 1.1
    assert [rate.take() for _ in range(3)] == [True, True, False]
    moment = 1000.0
    assert sum(rate.take() for _ in range(100)) == 5
