"""Replies: what both sides of a question need. The answer comes through a list that the caller waits at."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from services.errors import (
    BrokerUnavailable,
    ColegaError,
    IndexBehind,
    IndexUnavailable,
    PhotoRefused,
    Refused,
    Unavailable,
    WorkersBusy,
)
from services.rejections import Rejection

_REPLY_LIVES_S = 60

Told = dict[str, Any]
"""An answer, or what went wrong, as JSON."""


def connect(broker_url: str) -> Redis:
    """A pool of connections, which are made when they are used."""
    return Redis.from_url(broker_url, socket_connect_timeout=2, socket_timeout=60, health_check_interval=30)


@contextmanager
def speaking() -> Iterator[None]:
    """What the broker's client raises as our error.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    try:
        yield
    except (RedisError, OperationalError, OSError) as error:
        sentence = "The broker does not answer. See that Valkey or Redis runs and COLEGA_BROKER_URL is right."
        raise BrokerUnavailable(sentence) from error


def name_of(ask_id: str) -> str:
    """The list that the caller of a question waits at."""
    return f"colega:reply:{ask_id}"


def send(redis: Redis, ask_id: str, answer: Told | ColegaError) -> None:
    """Answer the caller of a question, or tell them what went wrong.

    Raises:
        BrokerUnavailable: The broker does not answer.
    """
    with speaking():
        pipeline = redis.pipeline(transaction=False)
        pipeline.rpush(name_of(ask_id), json.dumps(_told(answer) if isinstance(answer, ColegaError) else answer))
        pipeline.expire(name_of(ask_id), _REPLY_LIVES_S)
        pipeline.execute()


def wait(redis: Redis, ask_id: str, *, within_s: float) -> Told | None:
    """The answer to a question; None where none came in time.

    Raises:
        ColegaError: What the other side said went wrong.
        BrokerUnavailable: The broker does not answer.
    """
    with speaking():
        reply: tuple[bytes, bytes] | None = redis.blpop([name_of(ask_id)], timeout=max(within_s, 0.01))  # type: ignore[assignment]
    if reply is None:
        return None
    answer: Told = json.loads(reply[1])
    if "error" in answer:
        raise _error(answer["error"])
    return answer


def _told(error: ColegaError) -> Told:
    reason = error.reason.value if isinstance(error, PhotoRefused) else None
    return {"error": {"type": error.type, "detail": str(error), "reason": reason, "status": error.status}}


def _error(told: Mapping[str, Any]) -> ColegaError:
    if told["reason"] is not None:
        return PhotoRefused(Rejection(told["reason"]), told["detail"])
    if told["status"] >= 500:
        kinds = {kind.type: kind for kind in (IndexBehind, IndexUnavailable, WorkersBusy)}
        return kinds.get(told["type"], Unavailable)(told["detail"])
    return Refused(told["detail"])
