"""Find stored mails that are not in the content index, and index them from the store.

The bus may lose a fact, and a mail may have come before this index was: every stored, decided mail is looked at until
the index has it. A day below the content floor is indexed whole; before that its keys are not destroyed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from letterlock.mail.v1 import mail_pb2

from services.archive.content.take import ContentIndexer
from services.archive.ports import ContentIndex
from services.archive.stored import StoredMails
from services.common import log, telemetry, tracing
from services.common.errors import Corrupt, Error, NotFound
from services.common.facts import trace_from
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.search.blind import month_of

_log = log.get(__name__)
_PAGE = 500
_LATE = timedelta(hours=1)
_MOST = 2_000
"""Mails of a tenant that are indexed from the store in one pass."""
_UNREADABLE = 50_000


class Reads(Protocol):
    """What opens a stored mail and checks who wrote it."""

    async def read(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """See `mailreader.MailReader.read`."""


class ContentSweeper:
    """Sweeps until cancelled; see `once`."""

    def __init__(
        self,
        objects: ObjectStore,
        index: ContentIndex,
        indexer: ContentIndexer,
        reader: Reads,
        *,
        after: timedelta,
        planted: Collection[tuple[TenantId, MailId]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mails, self._index, self._indexer, self._reader = StoredMails(objects), index, indexer, reader
        self._after, self._planted, self._clock = after, planted, clock
        self._floors: dict[TenantId, date | None] = {}
        self._done: dict[tuple[TenantId, date], str] = {}
        self.unreadable: set[tuple[TenantId, MailId]] = set()
        """Mails that cannot be opened: none of our writers signed them, or their key is gone."""

    async def run(self, tenants: Callable[[], AsyncIterator[TenantId]]) -> None:
        """Sweep every tenant again and again; what fails is tried in the next pass."""
        pause = min(max(self._after.total_seconds() / 3, 0.5), 60.0)
        while True:
            try:
                async for tenant in tenants():
                    await self.once(tenant)
            except Error as error:
                _log.info("content.sweep_interrupted", code=error.code)
            except Exception as error:
                _log.error("content.sweep_failed", error=type(error).__name__)
            await asyncio.sleep(pause)

    def complete(self, tenant: TenantId, day: date) -> bool:
        """Whether the content of every mail of a day, and of all days before, is indexed."""
        floor = self._floors.get(tenant)
        return floor is not None and day <= floor

    async def once(self, tenant: TenantId) -> int:
        """One pass; returns how many mails were indexed from the store. Raises `Unavailable`."""
        if tenant not in self._floors:
            self._floors[tenant] = await self._index.floor(tenant)
        floor, before = self._floors[tenant], 0
        whole = True
        for day in await self._mails.days(tenant):
            if floor is not None and day <= floor:
                continue
            indexed, rest = await self._day(tenant, day, _MOST - before)
            before += indexed
            whole = whole and not rest and self._clock() > (_end(day) + _LATE).timestamp()
            if whole:
                await self._index.set_floor(tenant, day)
                self._floors[tenant] = day
                self._done.pop((tenant, day), None)
        return before

    async def _day(self, tenant: TenantId, day: date, most: int) -> tuple[int, int]:
        """How many were indexed, and how many of the day are still to be."""
        old = self._clock() - self._after.total_seconds()
        indexed = rest = 0
        page: list[MailId] = []
        reached, advancing = self._done.get((tenant, day), ""), True
        settled = datetime.fromtimestamp(self._clock(), UTC) - _LATE

        async def judge() -> None:
            nonlocal indexed, rest, reached, advancing
            missing = await self._missing(tenant, page)
            for mail_id in missing:
                if indexed >= most or mail_id.time.timestamp() > old:
                    rest += 1
                elif await self._store(tenant, mail_id):
                    indexed += 1
                elif (tenant, mail_id) not in self.unreadable:
                    rest += 1
            # What was indexed just now is seen to be there in the next pass.
            advancing = advancing and not [m for m in missing if (tenant, m) not in self.unreadable]
            if advancing:
                reached = max([reached, *(m for m in page if m.time < settled)])

        async for mail_id, _ in self._mails.mails(tenant, day, after=reached):
            page.append(mail_id)
            if len(page) >= _PAGE:
                await judge()
                page = []
        await judge()
        self._done[tenant, day] = reached
        return indexed, rest + indexed

    async def _missing(self, tenant: TenantId, page: list[MailId]) -> list[MailId]:
        wanted = [m for m in page if (tenant, m) not in self.unreadable and (tenant, m) not in self._planted]
        if not wanted:
            return []
        ids = {m: await self._indexer.document_id(tenant, m) for m in wanted}
        present = await self._index.present(tenant, month_of(wanted[0].day), ids.values())
        return [m for m in wanted if ids[m] not in present]

    async def _store(self, tenant: TenantId, mail_id: MailId) -> bool:
        """Index a mail from the store; False when it cannot be, or not yet."""
        try:
            with tracing.mail(tenant, mail_id):
                header, raw = await self._reader.read(tenant, mail_id)
                if not header.HasField("decision"):
                    return False

                async def content() -> bytes:
                    return raw

                self._indexer.forget(tenant, mail_id)
                await self._indexer.add(trace_from(header), content)
        except (NotFound, Corrupt) as error:
            if len(self.unreadable) < _UNREADABLE:
                self.unreadable.add((tenant, mail_id))
            _log.error("content.unreadable", tenant=tenant, mail_id=mail_id, code=error.code)
            return False
        telemetry.count("archive", "content_from_store", tenant)
        return True


def _end(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
