"""A worker whose broker was away while it worked asks for messages again."""

import pytest
from redis.exceptions import ConnectionError as NotConnected

from services.broker.app import celery_app
from tests.stack import Stack

pytestmark = pytest.mark.slow


def test_a_message_that_cannot_be_acknowledged_gives_up_its_place() -> None:
    with Stack() as stack, celery_app(stack.broker_url()).connection() as connection, connection.channel() as channel:
        channel.basic_qos(0, 1, False)
        connection.SimpleQueue("test").put("one")
        message = channel.basic_get("test")
        assert message is not None
        assert not channel.qos.can_consume()

        stack.children["broker"].kill()
        with pytest.raises((NotConnected, OSError)):
            message.ack()

        assert channel.qos.can_consume()
        stack.children["broker"].start()
