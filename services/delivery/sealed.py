"""What goes out instead of the mail as it came: a leg's sealed content, or a notice that bears a secret.

Both lie in the store and are verified when they are read; neither is ever replaced by the mail itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.errors import Corrupt, NotFound, Unavailable
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing.content import read_content
from services.common.sealing.keys import Identities
from services.common.sealing.writers import Writers
from services.common.secretmail import SecretNotices

_log = log.get(__name__)
_VARIANTS = 1000
SEALED = frozenset({"sealed", "pdf", "link"})
REQUIRE_TLS = "require_tls"
"""The transform of a leg that goes by verified TLS or not at all."""


@dataclass(frozen=True, slots=True)
class Share:
    """Content for some entries of a leg (positions; below 0 for redirected copies)."""

    content: bytes
    positions: frozenset[int]


class Sealed:
    """Reads what encryption made. Raises `Unavailable` when it is not there (yet), `Corrupt` when it is not ours."""

    def __init__(self, objects: ObjectStore, identities: Identities, writers: Writers, secret: SecretNotices) -> None:
        self._objects, self._identities, self._writers = objects, identities, writers
        self._secret = secret

    async def shares(self, tenant: TenantId, mail_id: MailId, leg: mail_pb2.Leg, wanted: Sequence[int]) -> list[Share]:
        """What each of the `wanted` gets: one content, or several where recipients have passwords of their own."""
        first = await self._read(tenant, mail_id, leg.number, 0)
        header, content = first
        if header.variants <= 1:
            return [Share(content, frozenset(wanted))]
        if header.variants > _VARIANTS:
            raise Corrupt("more contents than a leg can have")
        shares, left = [], set(wanted)
        for number in range(header.variants):
            header, content = first if number == 0 else await self._read(tenant, mail_id, leg.number, number)
            mine = left & set(header.recipients)
            if mine:
                shares.append(Share(content, frozenset(mine)))
                left -= mine
            if not left:
                return shares
        # Nobody gets what was sealed with another's password, and nobody the mail itself.
        raise Corrupt("a recipient has no content")

    async def secret(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        """A notice that bears a secret; raises `NotFound` when it was delivered."""
        return await self._secret.read(tenant, mail_id)

    async def forget_secret(self, tenant: TenantId, mail_id: MailId) -> None:
        """Delete a notice: it was delivered, or given up."""
        await self._secret.delete(tenant, mail_id)
        _log.info("delivery.secret_deleted", tenant=tenant, mail_id=mail_id)

    async def _read(
        self, tenant: TenantId, mail_id: MailId, leg: int, variant: int
    ) -> tuple[mail_pb2.ContentHeader, bytes]:
        try:
            header, content = await read_content(
                self._objects, self._identities, self._writers, tenant, mail_id, leg, variant
            )
        except NotFound as error:
            raise Unavailable("the sealed content is not there") from error
        if header.kind not in SEALED:
            raise Corrupt("what lies there is not sealed")
        return header, content
