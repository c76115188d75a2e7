"""How much of what is stored can be found, and why the rest cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from services.archive.look import Look
from services.archive.ports import Index
from services.archive.stored import StoredMails
from services.common import log
from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore

_log = log.get(__name__)

_PAGE = 500
_SHOWN = 100


@dataclass
class Covered:
    """Of one tenant. `unsearchable` has the first mails that a search cannot find, with the reason."""

    in_scope: int = 0
    indexed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unsearchable: list[tuple[MailId, str]] = field(default_factory=list)

    def miss(self, mail_id: MailId, reason: str) -> None:
        """Count a mail that a search cannot find."""
        self.reasons[reason] += 1
        if len(self.unsearchable) < _SHOWN:
            self.unsearchable.append((mail_id, reason))


class Coverage:
    """Compares the store with the index, day by day; where the numbers differ, mail by mail."""

    def __init__(
        self, objects: ObjectStore, index: Index, look: Look, planted: Collection[tuple[TenantId, MailId]]
    ) -> None:
        self._mails = StoredMails(objects)
        self._index, self._look, self._planted = index, look, planted

    async def of(self, tenant: TenantId) -> Covered:
        """Without the index no mail is found, and its reason says so. Raises `Unavailable` when the store is away."""
        try:
            await self._index.check()  # in little time, where the others are patient
            found = await self._index.days(tenant)
            return await self._with_index(tenant, found)
        except Unavailable as error:
            _log.info("coverage.without_index", tenant=tenant, code=error.code)
            return await self._without_index(tenant)

    async def _without_index(self, tenant: TenantId) -> Covered:
        result = Covered()
        for day in await self._mails.days(tenant):
            async for mail_id, _ in self._mails.mails(tenant, day):
                result.in_scope += 1
                result.miss(mail_id, "planted" if (tenant, mail_id) in self._planted else "index_away")
        return result

    async def _with_index(self, tenant: TenantId, found: Mapping[date, int]) -> Covered:
        result = Covered()
        for day in await self._mails.days(tenant):
            total = 0
            async for _ in self._mails.mails(tenant, day):
                total += 1
            result.in_scope += total
            if found.get(day, 0) == total:
                result.indexed += total
            else:
                await self._compare(tenant, day, result)
        return result

    async def _compare(self, tenant: TenantId, day: date, result: Covered) -> None:
        page: list[MailId] = []
        async for mail_id, _ in self._mails.mails(tenant, day):
            page.append(mail_id)
            if len(page) >= _PAGE:
                await self._compare_page(tenant, page, result)
                page = []
        await self._compare_page(tenant, page, result)

    async def _compare_page(self, tenant: TenantId, page: list[MailId], result: Covered) -> None:
        present = await self._index.present(tenant, page)
        result.indexed += len(present)
        missing = [m for m in page if m not in present]
        recorded = await self._look.states(tenant, missing) if missing else {}
        for mail_id in missing:
            reason = "not_indexed" if mail_id in recorded else "not_recorded"
            if (tenant, mail_id) in self._planted:
                reason = "planted"
            result.miss(mail_id, reason)
