"""Celery's side of looking. When a child is killed over a photo, its parent answers for it."""

import contextlib
from collections.abc import Mapping
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.worker.request import Request

from services.broker import names
from services.broker.followed import Followed
from services.broker.requests import Answering, Ask
from services.errors import BrokerUnavailable, ColegaError, PhotoRefused
from services.rejections import Rejection
from workers import looking
from workers.tasks.process import app, broker_url, here

TIME_LIMIT_S = 8
"""A search that takes longer is killed with its child."""

_STUCK = "The photo takes too long to decode and was given up. Save it anew with another program."
_KILLED = "The photo brought down the process that decoded it. Save it anew with another program."


class Answered(Request):  # type: ignore[misc] # Celery has no types.
    """A message whose child may die; runs in the parent."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """The child was over its time and is killed."""
        super().on_timeout(soft, timeout)
        if not soft:
            self._fail(_STUCK)

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Celery's
        """The child died, or the task raised what nobody foresaw."""
        self._fail(_KILLED)
        return super().on_failure(exc_info, *args, **kwargs)

    def _fail(self, detail: str) -> None:
        [message] = self.args
        answer_for(message, PhotoRefused(Rejection.TRUNCATED, detail))


def answer_for(message: Mapping[str, Any], error: ColegaError) -> None:
    """Tell the caller of *message* what went wrong, from a process that holds nothing open."""
    with contextlib.suppress(BrokerUnavailable):  # Then the caller cannot be reached either way.
        Answering(broker_url).fail(Ask.of_json(message), error)


class Looking(Followed):
    """A task whose messages are :class:`Answered`."""

    Request = "workers.tasks.interactive:Answered"


@app.task(name=names.LOOK, base=Looking, acks_late=False, ignore_result=True, time_limit=TIME_LIMIT_S)
def look(message: dict[str, Any]) -> None:
    """See :func:`workers.looking.look`."""
    looking.look(Ask.of_json(message), here().answering, here().tools.models, here().shadows)
