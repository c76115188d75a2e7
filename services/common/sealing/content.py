"""What a leg is delivered as, where that is not the mail as it came: sealed, changed, as PDF, with links.

`<tid>/content/<mail id>/<leg>` is create-only, sealed for the tenant's archive
key and the pipeline key of the mail's day (which lives until the mail is
final), and signed by its writer like a mail. Readers verify tenant, mail id,
leg, size, hash and signature, so that delivery never sends what somebody
planted or moved.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Corrupt
from services.common.ids import MailId, TenantId
from services.common.objects import ObjectStore
from services.common.sealing import mailobject
from services.common.sealing.keys import Identities, PublicKeys
from services.common.sealing.writers import Signer, Writers, signed

_MAGIC = b"LLcont1\n"
_THREAD = 256 * 1024
KINDS = frozenset({"sealed", "changed", "pdf", "link"})


def content_key(tenant: TenantId, mail_id: MailId, leg: int, variant: int = 0) -> str:
    """Where the content of a leg is; a further one for some of its recipients has a `variant` from 1."""
    return f"{tenant}/content/{mail_id}/{leg}" + (f".{variant}" if variant else "")


def seal_content(header: mail_pb2.ContentHeader, raw: bytes, *, recipients: Sequence[str], signer: Signer) -> bytes:
    """The object of a leg's content. Sets `writer`, `size` and `sha256` of the header.

    About a millisecond for 100 KB; hand larger ones to a thread. Raises `Corrupt` for an unknown kind.
    """
    if header.kind not in KINDS:
        raise Corrupt("content of an unknown kind")
    header.writer, header.size, header.sha256 = signer.name, len(raw), hashlib.sha256(raw).digest()
    head = header.SerializeToString()
    return mailobject.enclose(_MAGIC, head, signer.sign(_signed(header, head)), raw, recipients)


def open_content(
    data: bytes,
    *,
    identities: Sequence[str],
    writers: Writers,
    tenant: TenantId,
    mail_id: MailId,
    leg: int,
    variant: int = 0,
) -> tuple[mail_pb2.ContentHeader, bytes]:
    """Header and bytes; raises `Corrupt` unless everything fits the key it was read from, `age.NoKey`."""
    head, proof, rest = mailobject.disclose(data, _MAGIC, identities)
    header = mail_pb2.ContentHeader()
    try:
        header.ParseFromString(head)
    except DecodeError as error:
        raise Corrupt("header is malformed") from error
    writers.verify(header.writer, proof, _signed(header, head), kind="content")
    named = (header.tenant, header.mail_id, header.leg, header.variant)
    if named != (tenant, mail_id, leg, variant) or header.kind not in KINDS:
        raise Corrupt("content is another leg's")
    raw = rest(header.size)
    if not hmac.compare_digest(hashlib.sha256(raw).digest(), header.sha256):
        raise Corrupt("content does not match its hash")
    return header, raw


async def write_content(
    objects: ObjectStore, public: PublicKeys, signer: Signer, header: mail_pb2.ContentHeader, raw: bytes
) -> None:
    """Store the content of a leg, durable on return; raises `AlreadyExists` when there is one, `Unavailable`."""
    tenant, mail_id = TenantId.parse(header.tenant), MailId.parse(header.mail_id)
    recipients = [await public.archive(tenant), await public.pipeline(mail_id.day)]

    def work() -> bytes:
        return seal_content(header, raw, recipients=recipients, signer=signer)

    data = await asyncio.to_thread(work) if len(raw) > _THREAD else work()
    await objects.create(content_key(tenant, mail_id, header.leg, header.variant), data)


async def read_content(
    objects: ObjectStore,
    identities: Identities,
    writers: Writers,
    tenant: TenantId,
    mail_id: MailId,
    leg: int,
    variant: int = 0,
) -> tuple[mail_pb2.ContentHeader, bytes]:
    """The content of a leg with the pipeline's key; raises `NotFound` (none, or the key is destroyed), `Corrupt`."""
    data = await objects.get(content_key(tenant, mail_id, leg, variant))
    keys = list(await identities.pipeline(mail_id.day))

    def work() -> tuple[mail_pb2.ContentHeader, bytes]:
        return open_content(
            data, identities=keys, writers=writers, tenant=tenant, mail_id=mail_id, leg=leg, variant=variant
        )

    return await asyncio.to_thread(work) if len(data) > _THREAD else work()


def _signed(header: mail_pb2.ContentHeader, head: bytes) -> bytes:
    return signed("content", header.tenant.encode(), header.mail_id.encode(), header.leg.to_bytes(4, signed=True), head)
