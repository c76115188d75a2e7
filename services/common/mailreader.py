"""Read a stored mail whole: object, blob and late decision, each checked against its seal and signature."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta

from letterlock.mail.v1 import mail_pb2

from services.common.errors import NotFound
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age, mailobject
from services.common.sealing.keys import Identities
from services.common.sealing.writers import Writers

_THREAD = 256 * 1024
"""Sealed bytes from which opening leaves the event loop."""


class MailReader:
    """Opens stored mails with the pipeline's keys."""

    def __init__(self, objects: ObjectStore, identities: Identities, writers: Writers) -> None:
        self._objects, self._identities, self._writers = objects, identities, writers

    async def read(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """Header (with the late decision, if it has none of its own) and raw bytes.

        Raises `NotFound` (no such mail, or its day's key is destroyed), `Corrupt`, `Unavailable`.
        """
        header, raw = await self._open(tenant, mail_id)
        if header.blob:
            raw = await self.blob(header.envelope)
        return header, raw

    async def header(self, tenant: TenantId, mail_id: MailId) -> mail_pb2.ObjectHeader:
        """As `read`, without the body of a large mail."""
        return (await self._open(tenant, mail_id))[0]

    async def blob(self, envelope: mail_pb2.Envelope) -> bytes:
        """The body of a large mail, committed or not yet, as its envelope describes it. Raises as `read`."""
        tenant, mail_id = TenantId.parse(envelope.tenant), MailId.parse(envelope.mail_id)
        data = await self._objects.get(mailobject.blob_key(tenant, mail_id))

        def work(identities: list[str]) -> bytes:
            return mailobject.open_blob(data, identities, sha256=envelope.sha256, size=envelope.size)

        try:
            return await asyncio.to_thread(work, await self._identities_of(mail_id.day))
        except age.NoKey:
            return await asyncio.to_thread(work, await self._identities_of(_next(mail_id.day)))

    async def _open(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        data = await self._objects.get(mailobject.mail_key(tenant, mail_id))

        def work(identities: list[str]) -> tuple[mail_pb2.ObjectHeader, bytes]:
            return mailobject.open(data, identities=identities, writers=self._writers, tenant=tenant, mail_id=mail_id)

        async def opened(day: date) -> tuple[mail_pb2.ObjectHeader, bytes]:
            identities = await self._identities_of(day)
            return await asyncio.to_thread(work, identities) if len(data) > _THREAD else work(identities)

        try:
            header, raw = await opened(mail_id.day)
        except age.NoKey:
            # The id is made when the transaction begins, the seal when it ends: midnight may lie between.
            header, raw = await opened(_next(mail_id.day))
        if not header.HasField("decision"):
            decision = await self.decision(tenant, mail_id)
            if decision is not None:
                header.decision.CopyFrom(decision)
        return header, raw

    async def decision(self, tenant: TenantId, mail_id: MailId) -> mail_pb2.Decision | None:
        """The decision that came after the commit, or None while there is none."""
        try:
            data = await self._objects.get(mailobject.decision_key(tenant, mail_id))
        except NotFound:
            return None
        try:
            identities = await self._identities.trace(tenant)
            return mailobject.open_decision(data, identities, self._writers, tenant, mail_id)
        except age.NoKey:
            identities = await self._identities.trace(tenant, newer=True)
            return mailobject.open_decision(data, identities, self._writers, tenant, mail_id)

    async def _identities_of(self, day: date) -> list[str]:
        return list(await self._identities.pipeline(day))


def _next(day: date) -> date:
    return day + timedelta(days=1)
