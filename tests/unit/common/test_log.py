"""What a log line of ours holds, and what it never holds."""

from __future__ import annotations

import errno
import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from services.common import log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logging is afterwards as it was."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_exceptions_text_is_not_logged(format: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Its type and where it came from are."""
    log.configure("test", format=format)
    try:
        raise ValueError("Zanzibar <bob@world.example>")
    except ValueError:
        log.get().error("thing.failed", exc_info=True)
    logging.getLogger("aiosmtpd").warning("Zanzibar %s", "bob@world.example")
    said = capfdbinary.readouterr().err
    assert b"Zanzibar" not in said
    assert b"bob" not in said
    assert b"ValueError" in said
    assert b"test_log.py:" in said
    assert b"library.message" in said


def test_a_line_is_json_with_time_level_service_and_what_is_bound(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One object a line."""
    log.configure("test", format="json")
    with log.bound(tenant="t", mail_id="m"):
        log.get().info("thing.done", size=3)
    log.get().debug("thing.hidden")
    (line,) = capfdbinary.readouterr().err.splitlines()
    entry = orjson.loads(line)
    assert {k: entry[k] for k in ("event", "level", "service", "tenant", "mail_id", "size")} == {
        "event": "thing.done",
        "level": "info",
        "service": "test",
        "tenant": "t",
        "mail_id": "m",
        "size": 3,
    }
    assert entry["timestamp"].endswith("Z")


@pytest.mark.parametrize("format", ["json", "console"])
def test_what_cannot_be_written_is_dropped(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk under the log stops nobody who logs; with room again lines are written."""
    disk = FullDisk()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(disk, write_through=True))
    log.configure("test", format=format)
    log.get().info("thing.lost")
    disk.full = False
    log.get().info("thing.kept")
    assert b"thing.kept" in disk.getvalue()


class FullDisk(io.BytesIO):
    """A file on a disk without room."""

    full = True

    def write(self, data: Any) -> int:
        """Raises `OSError` while it is full."""
        if self.full:
            raise OSError(errno.ENOSPC, "no space left on device")
        return super().write(data)
