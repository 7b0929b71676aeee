"""Celery as everyone here uses it: JSON only, ids in messages, results nowhere, redelivery within a minute."""

from collections.abc import Iterable
from typing import Any

from celery import Celery

from services.broker import acknowledging, names
from services.broker.followed import Followed

VISIBILITY_S = 60
"""A message of a worker that died is delivered again after this; longer than any task that is not acknowledged early."""

_TURN_OF_THE_LAST = 8


class Ranked:
    """The order in which a worker asks its queues: as they are ranked, but every eighth time from the last one.

    So the most urgent queue goes first and none ever starves. (A kombu ``queue_order_strategy``.)
    """

    def __init__(self, it: Iterable[str] | None = None) -> None:
        self._queues = list(it or ())
        self._turn = 0

    def update(self, it: Iterable[str]) -> None:
        """Take the queues to ask from now on."""
        self._queues = sorted(it, key=lambda queue: (queue not in names.RANKED, _rank(queue)))

    def consume(self, n: int) -> list[str]:
        """The next *n* queues to ask, in order."""
        self._turn = (self._turn + 1) % _TURN_OF_THE_LAST
        return (self._queues if self._turn else self._queues[::-1])[:n]

    def rotate(self, last_used: str) -> None:
        """Ranks do not rotate."""


def _rank(queue: str) -> int:
    return names.RANKED.index(queue) if queue in names.RANKED else len(names.RANKED)


def celery_app(broker_url: str) -> Celery:
    """The Celery application; connects when first used."""
    acknowledging.install()
    app = Celery("colega", broker=broker_url, set_as_current=False, task_cls=Followed)
    app.conf.update(settings())
    return app


def settings() -> dict[str, Any]:
    """What a colega message goes by."""
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_default_queue": names.MAINTENANCE,
        "task_create_missing_queues": True,
        "task_routes": {
            names.LOOK: {"queue": names.INTERACTIVE},
            names.UNPACK: {"queue": names.BULK},
            names.CHECK_MODEL: {"queue": names.ENROL},
            names.COMPUTE: {"queue": names.TRAINING},
            names.REBUILD_PLAN: {"queue": names.REBUILD},
            names.REBUILD_CHUNK: {"queue": names.REBUILD},
            names.CONDUCT: {"queue": names.MAINTENANCE},
            names.SWEEP: {"queue": names.MAINTENANCE},
            names.TIDY: {"queue": names.MAINTENANCE},
            names.ORPHANS: {"queue": names.MAINTENANCE},
            names.ERASE: {"queue": names.MAINTENANCE},
            names.CHECKS: {"queue": names.MAINTENANCE},
        },
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
        "worker_proc_alive_timeout": 60.0,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_S,
            # kombu looks for messages to redeliver every `interval` * `throttle` seconds: 100 by default.
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 30,
            "queue_order_strategy": "services.broker.app:Ranked",
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        "timezone": "UTC",
    }
