"""Settings of the key keeper and the sealer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from services.common.config import setting


@dataclass(frozen=True, slots=True)
class EncryptionConfig:
    """The key keeper and the sealer."""

    master_key_file: Path | None = setting(
        None,
        "File with the 32 bytes that wrap all private keys, mode 0600; empty: `master.key` in the trust folder",
    )
    check_every: timedelta = setting(timedelta(minutes=10), "How often today's and tomorrow's keys are made sure of")
    hostname: str = setting("letterlock.localhost", "Name that notices with a password come from")
    language: str = setting("", "Language of covers where the tenant has none: en, ja, zh-Hant; empty: the mail's own")
    concurrency: int = setting(16, "Mails that are at work at once")
    threads: int = setting(2, "Mails that are packed at once; each is held in memory a few times over")
    max_bytes: int = setting(64 * 1024 * 1024, "Largest mail that is sealed; a larger one is returned to its sender")
    google_domains: tuple[str, ...] = setting(
        ("gmail.com", "googlemail.com"),
        "Domains whose mail Google takes: archives and programs in what they get lose their extensions, as Google "
        "refuses encrypted archives with such names",
    )
    passwords_kept: timedelta = setting(
        timedelta(days=400), "How long a mail's password can be looked up; agreed ones stay until they are deleted"
    )
    resume_every: timedelta = setting(timedelta(minutes=5), "How often notices that lie undelivered are told again")
    resume_after: timedelta = setting(timedelta(minutes=15), "How long a notice lies before it is told again")
