"""Answer `archive.fates`: what became of a mail, before somebody acts on it again.

The answer is from everything durable, whether or not the index is up to
date: whoever asks would otherwise do twice what was done.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from letterlock.archive.v1 import archive_pb2

from services.archive.adapters import wire
from services.archive.look import Look
from services.common import telemetry, tracing
from services.common.bus import Message, Responder
from services.common.errors import Corrupt
from services.common.ids import MailId, TenantId

SUBJECT = "archive.fates"


def answering(look: Look) -> Responder:
    """The responder: a `FatesRequest` gets a `FatesResponse`. Raises `Corrupt`, `InvalidInput`, `Unavailable`."""

    async def answer(message: Message) -> bytes:
        with telemetry.stage("archive", "fates", headers=message.headers):
            try:
                request = archive_pb2.FatesRequest.FromString(message.data)
            except DecodeError as error:
                raise Corrupt("not a request for fates") from error
            tenant, mail_id = TenantId.parse(request.tenant), MailId.parse(request.mail_id)
            with tracing.mail(tenant, mail_id):
                state = (await look.states(tenant, [mail_id])).get(mail_id)
            return wire.fates(state).SerializeToString()

    return answer
