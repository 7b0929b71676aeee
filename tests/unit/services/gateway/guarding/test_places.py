"""So many are served at once, some more wait for a moment, and the others are refused at once."""

import threading

import pytest

from services.errors import TooManyRequests
from services.gateway.guarding.places import Places
from tests.waiting import eventually


def _one(wait_s: float = 0.01) -> Places:
    return Places(1, waiting=1, wait_s=wait_s, refusal="All are taken.")


def test_who_waits_is_served_when_somebody_leaves() -> None:
    places, served = _one(wait_s=60.0), threading.Event()
    places.take()

    def wait() -> None:
        places.take()
        served.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(waiting.is_alive)
    places.leave()
    waiting.join()

    assert served.is_set()


def test_nobody_waits_for_ever() -> None:
    places = _one()
    places.take()

    with pytest.raises(TooManyRequests):
        places.take()


def test_where_all_wait_the_next_is_refused_at_once() -> None:
    places = Places(1, waiting=0, wait_s=60.0, refusal="All wait.")
    places.take()

    with pytest.raises(TooManyRequests, match="All wait") as refused:
        places.take()

    assert refused.value.retry_after_s >= 1


def test_it_is_of_no_use_to_ask_once_all_are_taken_and_all_wait() -> None:
    places = _one(wait_s=60.0)
    places.see_to_some()
    places.take()
    places.see_to_some()  # There is room to wait.
    waiting = threading.Thread(target=places.take)
    waiting.start()

    eventually(lambda: _is_refused(places))
    places.leave()
    waiting.join()

    places.see_to_some()


def _is_refused(places: Places) -> bool:
    try:
        places.see_to_some()
    except TooManyRequests:
        return True
    return False
