"""Logs: one line an event, at its end, with its numbers. Set up once a process; ids and figures only, no names or keys.

What libraries say through :mod:`logging`, as warnings, or by an exception that nobody caught, becomes such a line, too: with
``COLEGA_LOG_FORMAT=json`` every line that a process of ours writes is one JSON object.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from services.settings.service import Home

_SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(settings: Home) -> None:
    """Say how this process logs: to standard error, as text for people or JSON for machines. Again is fine."""
    rendered = _rendered(settings)
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[*_SHARED, *rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendered],
        )
    )
    root = logging.getLogger()
    for each in root.handlers[:]:
        if type(each) is logging.StreamHandler:  # Not one that somebody else listens by.
            root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # Its retries are ours to report.
    logging.captureWarnings(capture=True)
    sys.excepthook = _died
    threading.excepthook = _thread_died


def logger(**bound: Any) -> FilteringBoundLogger:  # noqa: ANN401 - whatever can be written
    """A logger; *bound* stands in each of its lines. Events are named ``subject.verb-in-the-past``."""
    return cast("FilteringBoundLogger", structlog.get_logger(**bound))


def last_words(settings: Home, error: Exception) -> str:
    """Why a process ends that could not start: a sentence for who reads it on a terminal, or a line of JSON."""
    if settings.log_format != "json":
        return str(error)
    return line(settings, "process.not_started", level="error", reason=str(error))


def line(settings: Home, event: str, *, level: str = "info", **said: Any) -> str:  # noqa: ANN401 - as above
    """One line as this process writes them, for where nothing may be locked: in the handler of a signal."""
    told: Any = {"event": event, **said}
    for each in (*_SHARED, *_rendered(settings)):
        told = each(None, level, told)
    return str(told)


def _rendered(settings: Home) -> list[Processor]:
    """The last steps from what is told to a line of it."""
    if settings.log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    return [
        structlog.dev.ConsoleRenderer(colors=False, pad_event_to=32, exception_formatter=structlog.dev.plain_traceback)
    ]


def _died(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught ends the process, and is told as everything else is."""
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logger().critical("process.failed", exc_info=(kind, error, trace))


def _thread_died(args: threading.ExceptHookArgs) -> None:
    name = None if args.thread is None else args.thread.name
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        logger().critical("thread.failed", thread=name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
