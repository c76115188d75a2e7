"""What a leg leaves as, where rules change it: made once, kept durably beside the mail, and then always the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from letterlock.mail.v1 import mail_pb2

from services.common import log
from services.common.errors import AlreadyExists
from services.common.ids import MailId, TenantId
from services.common.mailedit import CHANGES, Edited, Wish, apply_transforms
from services.common.objects import ObjectStore
from services.common.sealing.content import read_content, write_content
from services.common.sealing.keys import Identities, PublicKeys
from services.common.sealing.writers import Signer, Writers

_log = log.get(__name__)
_THREAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Leaving:
    """The bytes that go out after our trace headers, and a line for people on what was done to them, or nothing."""

    content: bytes
    summary: str = ""


class Changes:
    """Applies the changes of a leg."""

    def __init__(
        self, objects: ObjectStore, public: PublicKeys, signer: Signer, identities: Identities, writers: Writers
    ) -> None:
        self._objects, self._public, self._signer = objects, public, signer
        self._identities, self._writers = identities, writers

    async def make(
        self, tenant: TenantId, mail_id: MailId, leg: mail_pb2.Leg, wishes: Sequence[Wish], raw: bytes
    ) -> Leaving:
        """The mail as this leg gets it, durable before it is returned where it differs from `raw`.

        What an earlier pass kept is what every later one sends, whatever the code or the rules do by then. Raises
        `Unavailable` when it cannot be kept, `Corrupt` when what lies there is not ours.
        """
        wanted = [w for w in wishes if w.kind in CHANGES]
        edited = await asyncio.to_thread(apply_transforms, raw, wanted) if len(raw) > _THREAD else _edit(raw, wanted)
        if not edited.differs:
            return Leaving(raw, edited.summary)
        header = mail_pb2.ContentHeader(
            tenant=tenant,
            mail_id=mail_id,
            leg=leg.number,
            kind="changed",
            reason=edited.summary or "newlines",
            rules=dict.fromkeys(c.rule for c in edited.changes),
            manifest=edited.manifest,
            recipients=leg.recipients,
        )
        try:
            await write_content(self._objects, self._public, self._signer, header, edited.content)
        except AlreadyExists:
            kept, content = await read_content(
                self._objects, self._identities, self._writers, tenant, mail_id, leg.number
            )
            if kept.kind == "changed":
                return Leaving(content, "" if kept.reason == "newlines" else kept.reason)
            # The sealed mail of this leg: its own manifest tells of it, and a tag on it is made again each time.
            _log.debug("delivery.sealed_is_tagged", leg=leg.number)
        return Leaving(edited.content, edited.summary)


def _edit(raw: bytes, wishes: Sequence[Wish]) -> Edited:
    return apply_transforms(raw, wishes)
