"""Waking the searchers: a log has grown. A lost wake-up costs them one poll."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from services import trail
from services.broker.replies import connect
from services.trail import Trail

SEARCHERS = "colega:searchers"
COUNTS_S = 60
"""A searcher that was not heard of for longer is not woken."""

_LIVES_S = 5
_MOST_AGES = 256


@dataclass(frozen=True, slots=True)
class News:
    """What may be told to who is woken; a version that tells nothing is as good."""

    collection: int = 0
    sequence: int = 0
    """What has grown, and to where; zeros where nobody says."""
    ages_s: tuple[float, ...] = ()
    """How long ago the photos had come in that can be found from there on."""
    trail: Trail = field(default_factory=dict)
    """Of who has made it grow."""

    @classmethod
    def of_message(cls, message: bytes) -> "News":
        """Read what :meth:`Waking.wake` wrote, or what another version did."""
        try:
            told: Any = json.loads(message)
            ages = tuple(float(age) for age in told["ages_s"])
            return cls(int(told["collection"]), int(told["sequence"]), ages, trail.of_message(told.get("trail")))
        except (KeyError, TypeError, ValueError):
            return cls()


class Waking:
    """Telling the searchers."""

    def __init__(self, broker_url: str) -> None:
        self._redis = connect(broker_url)

    def wake(self, collection: int = 0, sequence: int = 0, ages_s: Sequence[float] = ()) -> None:
        """Wake every searcher that was heard of in the last minute. Silent where the broker is away: they poll.

        Args:
            collection: Whose log has grown, where that is to be told.
            sequence: To where.
            ages_s: How long ago the photos had come in that are found from there on.
        """
        told = {"collection": collection, "sequence": sequence, "ages_s": [round(a, 3) for a in ages_s[:_MOST_AGES]]}
        message = json.dumps({**told, "trail": trail.carried()})
        with suppress(RedisError, OSError):
            lists: list[bytes] = self._redis.zrangebyscore(SEARCHERS, time.time() - COUNTS_S, "+inf")  # type: ignore[assignment]
            pipeline = self._redis.pipeline(transaction=False)
            for each in lists:
                pipeline.rpush(each, message)
                pipeline.expire(each, _LIVES_S)
            pipeline.execute()
