"""Readying: the models that a switch may ask for next are opened beside the searches, and those of nobody are closed.

A worker that has the models of a generation open says so in the catalog; a switch waits for that, or names the worker. What
cannot be opened is told there, too, and tried again: searches go on with what is open. Queries that were kept for a rebuild
that has ended are forgotten.
"""

import time
from collections.abc import Callable
from typing import Any

from services.broker.shadows import Shadows
from services.catalog.engine import Catalog
from services.catalog.running import held
from services.catalog.running.held import Used
from services.errors import ColegaError
from services.logs import logger
from workers.models.registry import Registry

_AGAIN_S = 30.0
"""A model that could not be opened is tried again after this."""


class Readying:
    """What one worker has open for what may come. One thread calls it, beside the one that answers.

    Args:
        catalog: Says which models there are to be ready with.
        models: Opens them.
        shadows: Where queries are kept for a comparison.
        keeps: Whether they are; then models of generations that are still being built are opened, too.
        opened: Told when a model was opened: the process has grown by it.
    """

    def __init__(
        self, catalog: Catalog, models: Registry, shadows: Shadows, *, keeps: bool, opened: Callable[[], None]
    ) -> None:
        self._catalog, self._models, self._shadows = catalog, models, shadows
        self._keeps, self._opened = keeps, opened
        self._failed: dict[Used, tuple[float, str]] = {}

    def described(self) -> dict[str, Any]:
        """What ``status`` shows: the models that are open here, and what could not be opened."""
        return {**self._models.described(), "trouble": [reason for _, reason in self._failed.values()]}

    def ready(self) -> bool:
        """Open what is missing, close and forget what nobody needs any more. Returns whether anything has changed."""
        try:
            active = self._models.active()
            with self._catalog.reading() as session:
                used, compared = held.models_used(session), held.compared(session)
            self._shadows.forget_others(compared)
        except ColegaError:
            return False  # Catalog or broker is away, or there is no model yet.
        wanted = [each for each in used if each.is_soon and (self._keeps or not each.is_building)]
        self._failed = {each: failed for each, failed in self._failed.items() if each in wanted}
        changed = [self._open(each) for each in wanted]
        closed = self._models.keep_only({active, *(each.model for each in used)}, {None, *(e.detector for e in used)})
        if closed:
            logger().info("models.closed", digests=[digest[:12] for digest in closed])
        return bool(closed) or any(changed)

    def _open(self, used: Used) -> bool:
        """Whether that has changed anything."""
        at, before = self._failed.get(used, (0.0, ""))
        if self._models.is_open(used.model, used.detector) or (before and time.monotonic() - at < _AGAIN_S):
            return False
        try:
            self._models.pipeline(used.model, used.detector)
        except Exception as error:  # noqa: BLE001 - Whatever it is, the worker answers with what it has open.
            reason = f"{used.name} cannot be opened: {error or type(error).__name__}"
            self._failed[used] = time.monotonic(), reason
            if reason != before:
                logger().warning("model.not_opened", reason=reason)
            return reason != before
        self._failed.pop(used, None)
        self._opened()
        logger().info("model.opened", name=used.name)
        return True
