"""Settings of `policy`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.common.config import Address, Bytes, setting


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """How much of a mail is inspected, and how many at once."""

    workers: int = setting(2, "Threads that inspect mails over `inline_bytes`")
    inline_bytes: Bytes = setting(Bytes(64 * 1024), "Mails up to this size are inspected on the event loop")
    waiting: int = setting(256, "Questions that may wait at one process; beyond, the answer is busy")
    waiting_per_tenant: int = setting(64, "Questions of one tenant that may wait at one process")
    large_at_once: int = setting(4, "Mails over 512 KiB held in memory at once")
    concurrency: int = setting(16, "Mails decided at once from the queue")
    decide_timeout: timedelta = setting(timedelta(seconds=4), "Longest inspection of a mail in the SMTP dialogue")
    queue_timeout: timedelta = setting(timedelta(seconds=60), "Longest inspection of a mail from the queue")
    max_bytes: Bytes = setting(Bytes(128 * 1024 * 1024), "Largest mail that is inspected at all")
    max_text_bytes: Bytes = setting(
        Bytes(16 * 1024 * 1024), "Text of one mail that is inspected; the rest is too_large"
    )
    max_parts: int = setting(1000, "Parts of one mail that are inspected")
    max_depth: int = setting(12, "Mails inside mails that are inspected")
    rspamd_url: str = setting("", "An rspamd to ask for spam, phishing, SPF, DKIM, DMARC and ARC: http://HOST:11333")
    clamav_address: Address | None = setting(None, "A clamd to ask for malware, HOST:PORT")
    filters_always: bool = setting(False, "Ask the filters about every mail, also where no rule asks for a verdict")
    tenants_cached: int = setting(2000, "Tenants whose compiled policy is kept in memory")
