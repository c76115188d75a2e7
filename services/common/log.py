"""Logs: constant event names with bound fields, JSON for machines, a console for people.

Ids, sizes, hashes and codes; never content, a subject, an address or a
secret. Bind tenant, mail id and trace id once at the edge with
`tracing.mail(...)`; libraries' own logging goes through here from WARNING up.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

import orjson
import structlog

from services.common import tracing


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


class Lossy:
    """A stream that drops what it cannot write: a full disk or a closed pipe under the logs must not stop mail."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        """Write, or drop; how much is said to be written is all of it."""
        with suppress(OSError):
            self._stream.write(data)
        return len(data)

    def flush(self) -> None:
        """Flush what can be."""
        with suppress(OSError):
            self._stream.flush()


_FRAMES = 12
"""So many frames of an exception are logged, the innermost ones."""


def without_text(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Log of an exception its type and where it went through: its text may hold what a stranger wrote."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else sys.exc_info()[1]
    if error is not None:
        frames = list(traceback.walk_tb(error.__traceback__))[-_FRAMES:]
        event["error"] = type(error).__name__
        event["frames"] = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in frames]
    return event


def configure(service: str, *, level: str = "info", format: str = "auto") -> None:
    """Set up logging of this process to stderr, once."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        tracing.of_mail,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_text,
    ]
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    if console:
        processors = [*shared, structlog.dev.ConsoleRenderer()]
        factory: Any = structlog.PrintLoggerFactory(cast(TextIO, Lossy(sys.stderr)))
    else:
        processors = [
            *shared,
            structlog.processors.JSONRenderer(serializer=lambda v, **_: orjson.dumps(v, default=str)),
        ]
        factory = structlog.BytesLoggerFactory(cast(BinaryIO, Lossy(sys.stderr.buffer)))
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


def get(name: str = "") -> structlog.stdlib.BoundLogger:
    """The logger of a module."""
    return cast(structlog.stdlib.BoundLogger, structlog.get_logger(name))


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every event logged inside."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield
