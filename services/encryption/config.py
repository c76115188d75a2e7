"""Settings of the key keeper."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.common.config import setting


@dataclass(frozen=True, slots=True)
class EncryptionConfig:
    """The key keeper."""

    master_key_file: Path | None = setting(
        None,
        "File with the 32 bytes that wrap all private keys, mode 0600; empty: `master.key` in the trust folder",
    )
    check_every: timedelta = setting(timedelta(minutes=10), "How often today's and tomorrow's keys are made sure of")
