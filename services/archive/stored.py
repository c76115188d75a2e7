"""The stored mails of a tenant, as the store lists them: by the day of their id, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from services.common import log, telemetry
from services.common.errors import InvalidInput
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore

_log = log.get(__name__)


class StoredMails:
    """Lists mail objects; what is not where its name says is logged and skipped. Raises `Unavailable`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def any(self, tenant: TenantId) -> bool:
        """Whether the tenant has any mail."""
        return bool(await self._objects.list_folders(f"{tenant}/mail/"))

    async def days(self, tenant: TenantId) -> list[date]:
        """Days with mail, oldest first."""
        days: list[date] = []
        for year in await self._objects.list_folders(f"{tenant}/mail/"):
            for month in await self._objects.list_folders(f"{tenant}/mail/{year}/"):
                for day in await self._objects.list_folders(f"{tenant}/mail/{year}/{month}/"):
                    try:
                        days.append(date(int(year), int(month), int(day)))
                    except ValueError:
                        _log.error("store.stray", tenant=tenant, size=0)
        return sorted(days)

    async def mails(self, tenant: TenantId, day: date, *, after: str = "") -> AsyncIterator[tuple[MailId, int]]:
        """Mail ids of a day beyond `after` in order, each with the time its object was stored (ms since 1970)."""
        prefix = f"{tenant}/mail/{day:%Y/%m/%d}/"
        async for meta in self._objects.list(prefix, after=prefix + after if after else ""):
            try:
                mail_id = MailId.parse(meta.key.removeprefix(prefix))
            except InvalidInput:
                mail_id = None
            if mail_id is None or mail_id.day != day:
                telemetry.count("archive", "stray", tenant)
                _log.error("store.stray", tenant=tenant, size=meta.size)
                continue
            yield mail_id, int(meta.modified.timestamp() * 1000)
