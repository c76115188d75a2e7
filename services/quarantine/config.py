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
