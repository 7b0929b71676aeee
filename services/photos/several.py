"""Doing one thing to several objects, some at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def some_at_a_time(threads: ThreadPoolExecutor, function: Callable[[_T], _R], arguments: Sequence[_T]) -> list[_R]:
    """What *function* says of each, in their order; the first error ends it, once what was begun has ended."""
    if len(arguments) <= 1:
        return [function(argument) for argument in arguments]
    asked = [threads.submit(function, argument) for argument in arguments]
    for late in wait(asked, return_when=FIRST_EXCEPTION).not_done:
        late.cancel()
    wait(asked)  # Nothing goes on behind the caller's back.
    return [each.result() for each in asked]  # What failed comes before what was cancelled.
