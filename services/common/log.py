"""Logs: constant event names with bound fields, JSON for machines, a console for people.

Ids, sizes, hashes and codes; never content, a subject, an address or a
secret. Bind tenant, mail id and trace id once at the edge with
`bound(...)`; libraries' own logging goes through here from WARNING up.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import orjson
import structlog


class Quiet(logging.Handler):
    """Turns a library's warning into one event without its text, which may hold addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger("library")
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        log.log(
            record.levelno,
            "library.message",
            logger=record.name,
            line=record.lineno,
            error=kind,
        )


def configure(service: str, *, level: str = "info", format: str = "auto") -> None:
    """Set up logging of this process to stderr, once."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    if console:
        processors = [*shared, structlog.dev.ConsoleRenderer()]
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
    else:
        processors = [
            *shared,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=lambda v, **_: orjson.dumps(v, default=str)),
        ]
        factory = structlog.BytesLoggerFactory(sys.stderr.buffer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=factory,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    root = logging.getLogger()
    root.handlers = [Quiet()]
    root.setLevel(logging.WARNING)


def speak_as(service: str) -> None:
    """Name the service that what follows in this task, and in tasks it starts, is of."""
    structlog.contextvars.bind_contextvars(service=service)


def forget_mail() -> None:
    """Bind this task to no mail any more: it was started for one, and works for many."""
    structlog.contextvars.unbind_contextvars("tenant", "mail_id", "trace_id")


def get(name: str = "") -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every event logged inside."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
