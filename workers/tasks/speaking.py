"""How a worker process speaks: its lines, those of Celery's that are none, and its spans."""

import os
import sys
from typing import Any

from celery import Celery, signals
from celery.apps import worker

from services import logs, tracing
from services.settings.service import Environment, Home, Tracing


def begin(app: Celery, environment: Environment) -> None:
    """Set up the parent: every line that it writes from now on is one of ours. Children write as their parent."""
    home = environment.load(Home)
    logs.configure(home)
    tracing.require(environment.load(Tracing))

    @signals.setup_logging.connect(weak=False)
    def _set_up(**_: Any) -> None:  # noqa: ANN401 - Celery's
        logs.configure(home)  # That somebody listens keeps Celery from setting it up.

    @signals.celeryd_init.connect(weak=False)
    def _quiet(instance: Any, **_: Any) -> None:  # noqa: ANN401 - Celery's
        instance.quiet = True  # No banner.

    @signals.worker_ready.connect(weak=False)
    def _ready(**_: Any) -> None:  # noqa: ANN401 - Celery's
        logs.logger().info("worker.started", queues=sorted(app.amqp.queues.consume_from), pid=os.getpid())

    def say(message: str, file: object = None) -> None:
        """What Celery writes from handlers of signals, where nothing may be locked."""
        del file
        os.write(sys.stderr.fileno(), (logs.line(home, "worker.said", said=message.strip()) + "\n").encode())

    worker.safe_say = say


def begin_child(environment: Environment, part: str) -> None:
    """Set up a child, which has no thread of its parent's."""
    tracing.configure(environment.load(Tracing), part)


def end_child() -> None:
    """Send what spans are left: a child ends without ceremony."""
    tracing.finish()
