"""So many are served at once, as many more wait for a moment, and the others are refused at once."""

import threading

import pytest

from services.errors import TooManyRequests
from services.gateway.guarding.reserve import Desks
from tests.waiting import eventually


def test_who_waits_is_served_when_somebody_leaves() -> None:
    desks, served = Desks(1), threading.Event()
    desks.take()

    def wait() -> None:
        desks.take()
        served.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(waiting.is_alive)
    desks.leave()
    waiting.join()

    assert served.is_set()


def test_nobody_waits_for_ever() -> None:
    desks = Desks(1)
    desks.take()

    with pytest.raises(TooManyRequests):
        desks.take()


def test_where_all_wait_the_next_is_refused_at_once() -> None:
    desks = Desks(1)
    desks.take()
    desks.room.acquire()

    with pytest.raises(TooManyRequests) as refused:
        desks.take()

    assert refused.value.retry_after_s >= 1
