"""Open a held mail for its reviewers: quarantine asks, after the audit log has who reads it and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc

from services.common import telemetry
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader

_PIECE = 256 * 1024


class HeldServicer(keys_pb2_grpc.HeldServiceServicer):
    """Gives mails in pieces, to quarantine alone: the proto declares it and the interceptor enforces it."""

    def __init__(self, reader: MailReader) -> None:
        self._reader = reader

    async def OpenHeld(
        self, request: keys_pb2.OpenHeldRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[keys_pb2.OpenHeldResponse]:
        """See the proto."""
        tenant, mail_id = TenantId.parse(request.tenant), MailId.parse(request.mail_id)
        with telemetry.stage("encryption", "open_held", span=False):
            _, raw = await self._reader.read(tenant, mail_id)
        for at in range(0, len(raw), _PIECE):
            yield keys_pb2.OpenHeldResponse(piece=raw[at : at + _PIECE])
