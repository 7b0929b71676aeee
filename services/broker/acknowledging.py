"""Acknowledging while the broker is away: the message comes again later, and the worker goes on.

kombu keeps a place for each message that was not acknowledged, and gives it up only when the broker has heard of it. A broker
that is killed while all of a worker's tasks are under way hears of none: the worker asks for no message ever after.
"""

from kombu.transport import redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import TimeoutError as TooSlow


class QoS(redis.QoS):
    """As kombu's, but that a message the broker cannot be told of gives up its place; it is delivered again in a minute."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except (NotConnected, TooSlow, OSError):
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, or throw it away."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except (NotConnected, TooSlow, OSError):
            self._quick_ack(delivery_tag)
            raise


def install() -> None:
    """Have all connections of this process acknowledge so."""
    redis.Channel.QoS = QoS
