"""What the archive needs of the world."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from services.archive.core.fold import MailState
from services.common.ids import MailId, TenantId


class Index(Protocol):
    """Documents by mail. All raise `Unavailable` while the index does not answer."""

    async def ensure(self) -> str:
        """Make templates and indices as they must be; returns the index's generation, another one when it was lost."""

    async def write(self, states: Sequence[MailState]) -> int:
        """Merge each state into its mail's document; returns how many documents the index refused for good.

        Idempotent and independent of order, also beside other writers.
        """

    async def read(self, tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        """What the index has of these mails, the last write included."""

    async def present(self, tenant: TenantId, mail_ids: Collection[MailId]) -> set[MailId]:
        """Which of these mails have a document."""

    async def days(self, tenant: TenantId) -> Mapping[date, int]:
        """How many mails a search finds, by the day of their id, all that was written included."""

    async def cursor(self, tenant: TenantId) -> str:
        """The segment up to which the index holds everything; empty: none."""

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """Remember that."""

    async def floor(self, tenant: TenantId) -> date | None:
        """The day up to which all mails of a tenant (of the installation: their keys) are done with; None: none."""

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """Remember that."""

    async def check(self) -> None:
        """Return when it answers."""


class Keeper(Protocol):
    """Who destroys a day's pipeline key."""

    async def complete(self, day: date) -> None:
        """All mails of the day are final and indexed. Raises `Rejected` for a day too young, `Unavailable`."""
