"""Mail of our own: notifications and notices. It has its own id and object, passes no policy, is never bounced.

Whoever may sign system mail (`writers.GRANTS`) may send it. Who has no key of the pipeline gives no reader; then what
`build` makes has to follow from its arguments alone, since what lies there after a crash cannot be looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.common.directory import Directory
from services.common.errors import AlreadyExists
from services.common.facts import Facts, MailReader
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import mailobject
from services.common.sealing.keys import PublicKeys
from services.common.sealing.writers import Signer

_log = log.get(__name__)
_INLINE = 512 * 1024
_WINDOW = 60
"""Seconds in which the same mail, asked for again after a failure, is the same one."""


class SystemMail:
    """Makes mail durable, then tells delivery of it like of any other mail."""

    def __init__(
        self,
        objects: ObjectStore,
        public: PublicKeys,
        signer: Signer,
        facts: Facts,
        reader: MailReader | None,
        directory: Callable[[], Directory],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._objects, self._public, self._signer = objects, public, signer
        self._facts, self._reader, self._directory, self._now = facts, reader, directory, now

    async def send(
        self, tenant: TenantId, to: Sequence[str], build: Callable[[MailId, datetime], bytes], *, seed: str
    ) -> MailId:
        """Send what `build` makes of its id and time to `to`; the same `seed` again within a minute sends nothing new.

        Raises `Unavailable` or `Busy`; then nothing, or the durable mail, is there, and the call may be repeated.
        """
        moment = self._now().timestamp()
        entropy = hashlib.sha256(f"{tenant}\0{seed}".encode()).digest()[:10]
        mail_id = MailId.new(now=moment - moment % _WINDOW, entropy=entropy)
        raw = build(mail_id, mail_id.time)
        header = self._header(tenant, mail_id, to, raw)
        try:
            await self._store(tenant, mail_id, header, raw)
        except AlreadyExists:
            if self._reader is not None:
                header, raw = await self._reader.read(tenant, mail_id)
        trace = mail_pb2.Trace(envelope=header.envelope, decision=header.decision, blob=header.blob)
        await self._facts.publish("decided", trace, raw=raw, msg_id=f"{mail_id}:d:0")
        telemetry.count(self._signer.name, "system_mail", tenant)
        _log.info("system_mail.sent", tenant=tenant, mail_id=mail_id, size=len(raw), number=len(to))
        return mail_id

    def _header(self, tenant: TenantId, mail_id: MailId, to: Sequence[str], raw: bytes) -> mail_pb2.ObjectHeader:
        recipients = [mail_pb2.Recipient(address=a, direction=self._direction(tenant, a)) for a in to]
        envelope = mail_pb2.Envelope(
            tenant=tenant,
            mail_id=mail_id,
            recipients=recipients,
            body="7BIT" if raw.isascii() else "8BITMIME",
            smtputf8=not all(a.isascii() for a in to),
            size=len(raw),
            sha256=hashlib.sha256(raw).digest(),
            origin="system",
        )
        envelope.received_at.FromDatetime(mail_id.time)
        leg = mail_pb2.Leg(number=1, recipients=range(len(to)), disposition=mail_pb2.DISPOSITION_DELIVER)
        decision = mail_pb2.Decision(tenant=tenant, mail_id=mail_id, recipients=recipients, legs=[leg], origin="system")
        decision.decided_at.FromDatetime(mail_id.time)
        return mail_pb2.ObjectHeader(
            tenant=tenant, mail_id=mail_id, envelope=envelope, decision=decision, blob=len(raw) > _INLINE
        )

    def _direction(self, tenant: TenantId, address: str) -> mail_pb2.Direction:
        domain = self._directory().domain_of(address)
        mine = domain is not None and domain.tenant == tenant
        return mail_pb2.DIRECTION_INTERNAL if mine else mail_pb2.DIRECTION_OUTBOUND

    async def _store(self, tenant: TenantId, mail_id: MailId, header: mail_pb2.ObjectHeader, raw: bytes) -> None:
        recipients = [await self._public.archive(tenant), await self._public.pipeline()]
        if header.blob:

            def pack() -> bytes:
                sealer = mailobject.BlobSealer(recipients)
                return sealer.update(raw) + sealer.finish()

            try:
                await self._objects.create(mailobject.blob_key(tenant, mail_id), await asyncio.to_thread(pack))
            except AlreadyExists:
                # A try that ended between blob and mail object: what counts is what lies there, so it is replaced.
                await self._objects.put(mailobject.blob_key(tenant, mail_id), await asyncio.to_thread(pack))
        inside = b"" if header.blob else raw
        sealed = mailobject.seal(header, inside, recipients=recipients, signer=self._signer)
        await self._objects.create(mailobject.mail_key(tenant, mail_id), sealed)


def utc_now() -> datetime:
    """The time of day, UTC."""
    return datetime.now(UTC)
