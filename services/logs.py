"""Logs: one line an event, at its end, with its numbers. Set up once a process; ids and figures only, no names or keys."""

import logging
import sys
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from services.settings import Home


def configure(settings: Home) -> None:
    """Say how this process logs: to standard error, as text for people or JSON for machines."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if settings.log_format == "json":
        rendered: Processor = structlog.processors.JSONRenderer()
    else:
        rendered = structlog.dev.ConsoleRenderer(colors=False, pad_event_to=32)
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*shared, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # Its retries are ours to report.
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def logger(**bound: Any) -> FilteringBoundLogger:  # noqa: ANN401 - whatever can be written
    """A logger; *bound* stands in each of its lines. Events are named ``subject.verb-in-the-past``."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))
