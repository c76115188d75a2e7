"""Settings of the quarantine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.common.config import setting


@dataclass(frozen=True, slots=True)
class QuarantineConfig:
    """Held mail."""

    resume_every: timedelta = setting(
        timedelta(minutes=1),
        "How often decisions that were not told and expiries whose schedule was lost are looked for",
    )
    concurrency: int = setting(16, "Decided mails that are looked at at once")
    hostname: str = setting("letterlock.localhost", "This installation's name in notices, as delivery has it")
    notice_window: timedelta = setting(
        timedelta(seconds=15), "What comes within it is told to a reviewer as one notice"
    )
    digest_hours: tuple[str, ...] = setting(
        ("1",), "Hours of the day (UTC, 0 to 23) at which reviewers get a list of what waits; empty: none"
    )
