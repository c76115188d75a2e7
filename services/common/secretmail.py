"""A notice that bears a secret. Its content is in no stream, no archive and no index.

It lies at `<tid>/secret/<mail id>`, sealed for the pipeline key of its day
alone, from when it is made until it is delivered; then it is deleted. On the
bus goes only that it is there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry
from services.common.directory import Directory
from services.common.errors import AlreadyExists, InvalidInput, NotFound
from services.common.facts import Facts, trace_from
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import age, mailobject
from services.common.sealing.keys import Identities, PublicKeys
from services.common.sealing.writers import Signer, Writers

ORIGIN = "system-secret"
_LARGEST = 256 * 1024
_log = log.get(__name__)


def secret_key(tenant: TenantId, mail_id: MailId) -> str:
    """Where a secret notice lies until it is delivered."""
    return f"{tenant}/secret/{mail_id}"


def is_secret(envelope: mail_pb2.Envelope) -> bool:
    """Whether a mail's content is such a notice's."""
    return envelope.origin == ORIGIN


class SecretNotices:
    """Opens and deletes secret notices: for whoever delivers them."""

    def __init__(self, objects: ObjectStore, identities: Identities, writers: Writers) -> None:
        self._objects, self._identities, self._writers = objects, identities, writers

    async def read(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """Header and content; raises `NotFound` when it is delivered, `Corrupt`, `Unavailable`."""
        data = await self._objects.get(secret_key(tenant, mail_id))
        identities = list(await self._identities.pipeline(mail_id.day))
        return mailobject.open(data, identities=identities, writers=self._writers, tenant=tenant, mail_id=mail_id)

    async def delete(self, tenant: TenantId, mail_id: MailId) -> None:
        """Delete it; what is gone is no error."""
        await self._objects.delete(secret_key(tenant, mail_id))


class SecretMail:
    """Makes such notices durable, then tells delivery of them."""

    def __init__(
        self,
        objects: ObjectStore,
        public: PublicKeys,
        signer: Signer,
        facts: Facts,
        directory: Callable[[], Directory],
    ) -> None:
        self._objects, self._public, self._signer = objects, public, signer
        self._facts, self._directory = facts, directory

    async def send(
        self, tenant: TenantId, to: str, build: Callable[[MailId, datetime], bytes], *, seed: str, at: datetime
    ) -> MailId:
        """Send what `build` makes of its id and time; the same `seed` and `at` again is the same mail.

        Whoever calls notes durably that it was sent: once it is delivered, a repetition would send it again.
        Raises `Unavailable`; then it may be repeated.
        """
        entropy = hashlib.sha256(f"{tenant}\0secret\0{seed}".encode()).digest()[:10]
        mail_id = MailId.new(now=at.astimezone(UTC).timestamp(), entropy=entropy)
        raw = build(mail_id, mail_id.time)
        if len(raw) > _LARGEST:
            raise InvalidInput("a notice is small", field="content")
        header = self._header(tenant, mail_id, to, raw)
        recipients = [await self._public.pipeline(mail_id.day)]
        sealed = mailobject.seal(header, raw, recipients=recipients, signer=self._signer)
        try:
            await self._objects.create(secret_key(tenant, mail_id), sealed)
        except AlreadyExists:
            _log.debug("secret_mail.known", tenant=tenant, mail_id=mail_id)
        await self._facts.publish("decided", trace_from(header), raw=None, msg_id=f"{mail_id}:d:0")
        telemetry.count(self._signer.name, "secret_mail", tenant)
        _log.info("secret_mail.sent", tenant=tenant, mail_id=mail_id)
        return mail_id

    async def resume(self, tenant: TenantId, opens: SecretNotices, *, before: datetime) -> int:
        """Tell again of the notices that lie there since `before`: the broker may have lost them. Returns how many."""
        number = 0
        prefix = f"{tenant}/secret/"
        async for meta in self._objects.list(prefix):
            if meta.modified >= before:
                continue
            try:
                mail_id = MailId.parse(meta.key.removeprefix(prefix))
                header, _ = await opens.read(tenant, mail_id)
            except (NotFound, InvalidInput, age.NoKey):
                continue
            # Grows with time: a message id that the stream still remembers would be no message.
            again = int((before - meta.modified).total_seconds() // 60) + 1
            await self._facts.publish("decided", trace_from(header), raw=None, msg_id=f"{mail_id}:d:{again}")
            number += 1
        return number

    def _header(self, tenant: TenantId, mail_id: MailId, to: str, raw: bytes) -> mail_pb2.ObjectHeader:
        domain = self._directory().domain_of(to)
        mine = domain is not None and domain.tenant == tenant
        direction = mail_pb2.DIRECTION_INTERNAL if mine else mail_pb2.DIRECTION_OUTBOUND
        recipients = [mail_pb2.Recipient(address=to, direction=direction)]
        envelope = mail_pb2.Envelope(
            tenant=tenant,
            mail_id=mail_id,
            recipients=recipients,
            body="7BIT" if raw.isascii() else "8BITMIME",
            smtputf8=not to.isascii(),
            size=len(raw),
            sha256=hashlib.sha256(raw).digest(),
            origin=ORIGIN,
        )
        envelope.received_at.FromDatetime(mail_id.time)
        leg = mail_pb2.Leg(number=1, recipients=[0], disposition=mail_pb2.DISPOSITION_DELIVER)
        decision = mail_pb2.Decision(tenant=tenant, mail_id=mail_id, recipients=recipients, legs=[leg], origin="system")
        decision.decided_at.FromDatetime(mail_id.time)
        return mail_pb2.ObjectHeader(tenant=tenant, mail_id=mail_id, envelope=envelope, decision=decision)
