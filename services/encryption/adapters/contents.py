"""What is delivered, in the object store; and the notice that tells a sender a password."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from letterlock.mail.v1 import mail_pb2

from services.common import notices
from services.common.errors import NotFound
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing.content import content_key, write_content
from services.common.sealing.keys import PublicKeys
from services.common.sealing.writers import Signer
from services.common.secretmail import SecretMail
from services.encryption.core.settings import Settings
from services.encryption.ports import Plan


class StoredContents:
    """`Contents` over the object store."""

    def __init__(self, objects: ObjectStore, public: PublicKeys, signer: Signer) -> None:
        self._objects, self._public, self._signer = objects, public, signer

    async def exists(self, plan: Plan, variant: int) -> bool:
        """See the port."""
        try:
            await self._objects.head(content_key(plan.tenant, plan.mail_id, plan.leg, variant))
        except NotFound:
            return False
        return True

    async def create(self, header: mail_pb2.ContentHeader, content: bytes) -> None:
        """See the port."""
        await write_content(self._objects, self._public, self._signer, header, content)


class SecretNotices:
    """`Notices` by secret mail."""

    def __init__(
        self, secret: SecretMail, templates: notices.Templates, *, hostname: str, language: Callable[[TenantId], str]
    ) -> None:
        self._secret, self._templates = secret, templates
        self._hostname, self._language = hostname, language

    async def password(self, plan: Plan, envelope: mail_pb2.Envelope, settings: Settings) -> None:
        """See the port."""
        made = [s for s in plan.secrets if not s.agreed]
        several = len(made) > 1
        lines = [f"{s.password}  ({', '.join(s.recipients)})" if several else s.password for s in made]
        fields = {
            "password": "\n".join(lines),
            "file": "sealed.pdf" if settings.format == "pdf" else "sealed.zip",
            "mail_id": plan.mail_id,
            "received": f"{envelope.received_at.ToDatetime():%Y-%m-%d %H:%M:%S} UTC",
            "sender": plan.sender,
            "recipients": "\n".join(r for s in made for r in s.recipients),
        }
        language = settings.language or self._language(plan.tenant)
        rendered = await self._templates.render(plan.tenant, "sealed.password", language, fields)

        def build(own_id: MailId, now: datetime) -> bytes:
            return notices.build(rendered, own_id=own_id, hostname=self._hostname, to=[plan.sender], now=now)

        await self._secret.send(plan.tenant, plan.sender, build, seed=f"password:{plan.id}", at=plan.at)
