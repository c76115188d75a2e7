"""Archived mails, opened with the tenant's archive key: whole, as received and as delivered, and checked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import date

from letterlock.mail.v1 import mail_pb2

from services.common.errors import NotFound
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.common.objects import ObjectStore
from services.common.sealing import content
from services.common.sealing.keys import Identities
from services.common.sealing.writers import Writers
from services.encryption.keep import Keeper
from services.encryption.ports import Delivered, Mail

_MOST_LEGS = 10_000


class ArchivedMails:
    """`StoredMail` over the object store. Raises `NotFound`, `Corrupt`, `Unavailable`."""

    def __init__(self, objects: ObjectStore, keeper: Keeper, writers: Writers) -> None:
        self._objects, self._keeper, self._writers = objects, keeper, writers

    async def read(self, tenant: TenantId, mail_id: MailId) -> Mail:
        """See `StoredMail`."""
        reader = MailReader(self._objects, Identities(_Of(self._keeper, tenant)), self._writers)
        header, raw = await reader.read(tenant, mail_id)
        if header.envelope.origin in ("system", "system-secret"):
            raise NotFound("system mail is not opened", public="no such mail")
        return Mail(header, raw)

    async def delivered(self, tenant: TenantId, mail_id: MailId) -> AsyncIterator[Delivered]:
        """See `StoredMail`."""
        prefix = f"{tenant}/content/{mail_id}/"
        names = [meta.key.removeprefix(prefix) async for meta in self._objects.list(prefix)]
        identities = await self._keeper.archive(tenant) if names else ()
        for name in names[:_MOST_LEGS]:
            leg, _, variant = name.partition(".")
            data = await self._objects.get(prefix + name)
            yield Delivered(*await asyncio.to_thread(self._open, data, identities, tenant, mail_id, leg, variant))

    def _open(
        self, data: bytes, identities: Sequence[str], tenant: TenantId, mail_id: MailId, leg: str, variant: str
    ) -> tuple[mail_pb2.ContentHeader, bytes]:
        return content.open_content(
            data, identities=identities, writers=self._writers, tenant=tenant, mail_id=mail_id, leg=int(leg),
            variant=int(variant or 0),
        )  # fmt: skip


class _Of:
    """One tenant's archive identities where the pipeline's are asked for, for one reading."""

    def __init__(self, keeper: Keeper, tenant: TenantId) -> None:
        self._keeper, self._tenant = keeper, tenant

    async def pipeline(self, day: date) -> Sequence[str]:
        return await self._keeper.archive(self._tenant)

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        return await self._keeper.trace(tenant)
