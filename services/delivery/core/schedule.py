"""When a mail is tried again, and when it is given up (RFC 5321 4.5.4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Schedule:
    """Waits between attempts, of which the last repeats, until the mail has been queued for `give_up_after`."""

    retry_after: Sequence[timedelta]
    give_up_after: timedelta
    delay_notice_after: timedelta

    def __post_init__(self) -> None:
        if not self.retry_after or min(self.retry_after) <= timedelta(0):
            raise ValueError("retry_after needs at least one wait above zero")

    def wait(self, attempts: int) -> timedelta:
        """The wait after `attempts` attempts (from 1)."""
        return self.retry_after[min(max(attempts, 1), len(self.retry_after)) - 1]

    def next(self, *, attempts: int, queued_at: datetime, now: datetime) -> datetime | None:
        """When to try again after `attempts` attempts; None when it is time to give up.

        The last attempt is made at the very end, however long the wait before it would have been.
        """
        end = queued_at + self.give_up_after
        if now >= end:
            return None
        return min(now + self.wait(attempts), end)

    def delay_is_due(self, *, queued_at: datetime, now: datetime) -> bool:
        """Whether the sender should know by now that the mail is late."""
        return now - queued_at >= self.delay_notice_after
