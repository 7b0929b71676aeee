"""Waiting for something that another process brings about."""

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Return as soon as *holds* does; fail if it does not within *within_s* seconds."""
    give_up_at = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < give_up_at, "It did not come about in time."
        time.sleep(0.02)
