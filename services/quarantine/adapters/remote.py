"""Policy and encryption as quarantine asks them: over mTLS, in its own name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc
from letterlock.policy.v1 import policy_pb2, policy_pb2_grpc

from services.common import rpc
from services.common.audit_client import AuditLog
from services.common.audit_entries import AuditEntry
from services.common.ids import MailId, TenantId
from services.quarantine.ports import Inspection

_INSPECT_SECONDS = 25.0
_OPEN_SECONDS = 120.0


class RemoteInspector:
    """`Inspector` over `policy.InspectionService`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = policy_pb2_grpc.InspectionServiceStub(channel)

    async def __call__(self, tenant: TenantId, mail_id: MailId) -> Inspection:
        """See the port."""
        request = policy_pb2.InspectRequest(tenant=tenant, mail_id=mail_id)
        try:
            answer = await self._stub.Inspect(request, timeout=_INSPECT_SECONDS)
        except grpc.RpcError as error:
            rpc.raise_for(error)
        return Inspection(answer.decision, answer.malware)


class AuditedReveal:
    """`Reveal`: the entry is in the tenant's log, then encryption, which has the key, opens the mail."""

    def __init__(self, channel: grpc.aio.Channel, audit: AuditLog) -> None:
        self._stub: Any = keys_pb2_grpc.HeldServiceStub(channel)
        self._audit = audit

    async def __call__(self, tenant: TenantId, mail_id: MailId, entry: AuditEntry) -> AsyncIterator[bytes]:
        """See the port."""
        await self._audit.append(entry)
        request = keys_pb2.OpenHeldRequest(tenant=tenant, mail_id=mail_id)
        try:
            async for answer in self._stub.OpenHeld(request, timeout=_OPEN_SECONDS):
                yield answer.piece
        except grpc.RpcError as error:
            rpc.raise_for(error)
