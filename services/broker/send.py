"""Ids out: what the gateway and the workers put into the queues."""

import json
import time
from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from services.broker import names
from services.broker.app import celery_app
from services.broker.followed import HEADER, SENT_AT, headers
from services.errors import BrokerUnavailable

QUEUES = (names.INTERACTIVE, *names.RANKED, names.TRAINING, names.MAINTENANCE)

CHUNK = 16
"""Items a message: a quarter to a whole second of work for one process."""


class Queue:
    """The way into the queues. Safe to share between threads.

    Args:
        broker_url: Of the broker.
        app: What sends; one of its own if none is given.
        chunk: Photos of one message.
    """

    def __init__(self, broker_url: str, app: Celery | None = None, *, chunk: int = CHUNK) -> None:
        self._chunk = chunk
        self._app = app or celery_app(broker_url)
        self._redis: Redis = Redis.from_url(broker_url, socket_connect_timeout=2, socket_timeout=5)

    @property
    def chunk(self) -> int:
        """Photos that a worker is given at once."""
        return self._chunk

    def ingest(self, item_ids: Sequence[int], queue: str) -> None:
        """Ask for photos to be made findable, in chunks of a second of work.

        Raises:
            BrokerUnavailable: The broker does not answer. The items wait in the catalog; the sweep sends them later.
        """
        for start in range(0, len(item_ids), self._chunk):
            self._send(names.INGEST, [list(item_ids[start : start + self._chunk])], queue=queue)

    def ingest_alone(self, item_ids: Sequence[int], queue: str) -> None:
        """As :meth:`ingest`, each item in a message of its own."""
        for item_id in item_ids:
            self._send(names.INGEST, [[item_id]], queue=queue)

    def unpack(self, job_id: int) -> None:
        """Ask for the archive of an import to be taken in."""
        self._send(names.UNPACK, [job_id])

    def check_model(self, model_id: int) -> None:
        """Ask a worker whether it can compute with a model file."""
        self._send(names.CHECK_MODEL, [model_id])

    def compute(self, job_id: int) -> None:
        """Ask for a training, an evaluation, a calibration, a quantisation or a comparison to be computed.

        Raises:
            BrokerUnavailable: The broker does not answer. The job waits in the catalog; the sweep sends it later.
        """
        self._send(names.COMPUTE, [job_id])

    def conduct(self) -> None:
        """Ask for rebuilds to be moved on now, and not only at the next beat."""
        self._send(names.CONDUCT, [])

    def plan_rebuild(self, rebuild_id: int) -> None:
        """Ask for a rebuild to be planned."""
        self._send(names.REBUILD_PLAN, [rebuild_id])

    def rebuild(self, rebuild_id: int, times: int = 1) -> None:
        """Ask so many workers for the next chunks of a rebuild; each goes on until there are none left."""
        for _ in range(times):
            self._send(names.REBUILD_CHUNK, [rebuild_id])

    def depths(self) -> dict[str, int]:
        """How many messages wait in each queue."""
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for queue in QUEUES:
                pipeline.llen(queue)
            return dict(zip(QUEUES, pipeline.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise _unavailable() from error

    def oldest_s(self) -> dict[str, float]:
        """For how long the message that is next has waited in each queue, in seconds; nothing of empty ones.

        Measured by the clocks of this machine and of the one that sent it.

        Raises:
            BrokerUnavailable: The broker does not answer.
        """
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for queue in QUEUES:
                pipeline.lindex(queue, -1)
            found = dict(zip(QUEUES, pipeline.execute(), strict=True))
        except (RedisError, OSError) as error:
            raise _unavailable() from error
        sent = {queue: _sent_at(message) for queue, message in found.items() if message is not None}
        return {queue: max(time.time() - at, 0.0) for queue, at in sent.items() if at is not None}

    def _send(self, task: str, args: list[Any], **options: Any) -> None:  # noqa: ANN401 - Celery's options
        try:
            self._app.send_task(task, args=args, retry=False, headers=headers(), **options)
        except (OperationalError, RedisError, OSError) as error:
            raise _unavailable() from error


def _sent_at(message: bytes) -> float | None:
    """When a message was sent; None of one of another version."""
    try:
        return float(json.loads(message)["headers"][HEADER][SENT_AT])
    except (KeyError, TypeError, ValueError):
        return None


def _unavailable() -> BrokerUnavailable:
    return BrokerUnavailable(
        "The broker does not answer. See that Valkey or Redis runs and COLEGA_BROKER_URL is right."
    )
