"""Tasks that go on with the trail of who sent them: its request stands in their lines, and their span hangs below its."""

import time
from typing import Any

from celery.app.task import Task

from services import trail
from services.trail import Trail

HEADER = "colega"
"""Of a message: the trail, and when it was sent. A worker that does not know it passes it over."""
SENT_AT = "sent_at"


def headers() -> dict[str, Any]:
    """What a message takes along."""
    return {HEADER: {**trail.carried(), SENT_AT: round(time.time(), 3)}}


class Followed(Task):  # type: ignore[misc] # Celery has no types.
    """The kind of all tasks. What nobody asked for, such as a sweep, has no span."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Celery's
        """Run it."""
        came: Trail = trail.of_message(self.request.get(HEADER))
        if not came:
            return super().__call__(*args, **kwargs)
        with trail.followed(came, self.name):
            return super().__call__(*args, **kwargs)
