"""Settings of the directory's keeper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.common.config import setting


@dataclass(frozen=True, slots=True)
class AdminConfig:
    """The directory."""

    policy_timeout: timedelta = setting(
        timedelta(seconds=10), "Longest wait for policy to check or apply a document of a world file"
    )
    session: timedelta = setting(timedelta(minutes=30), "How long a person who logged in stays so")
