"""KeyService over gRPC. Who may call is declared in the proto and enforced before this."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import grpc
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc

from services.common import rpc
from services.common.errors import InvalidInput
from services.common.ids import TenantId
from services.common.sealing.keys import TenantKind, today
from services.encryption.keep import Keeper

_KINDS: Mapping[int, TenantKind] = {
    keys_pb2.TENANT_KEY_ARCHIVE: "archive",
    keys_pb2.TENANT_KEY_TRACE: "trace",
}


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    """The keeper's surface for the other services and the operator."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def GetPipelineKey(
        self, request: keys_pb2.GetPipelineKeyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> keys_pb2.GetPipelineKeyResponse:
        """See the proto."""
        return keys_pb2.GetPipelineKeyResponse(identities=await self._keeper.pipeline(_day(request.day)))

    async def GetTraceKey(
        self, request: keys_pb2.GetTraceKeyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> keys_pb2.GetTraceKeyResponse:
        """See the proto."""
        tenant = TenantId.parse(request.tenant)
        return keys_pb2.GetTraceKeyResponse(identities=await self._keeper.trace(tenant))

    async def CompleteDay(
        self, request: keys_pb2.CompleteDayRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> keys_pb2.CompleteDayResponse:
        """See the proto."""
        await self._keeper.complete(_day(request.day), today=today())
        return keys_pb2.CompleteDayResponse()

    async def RotateTenantKey(
        self, request: keys_pb2.RotateTenantKeyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> keys_pb2.RotateTenantKeyResponse:
        """See the proto."""
        kind = _KINDS.get(request.key)
        if kind is None:
            raise InvalidInput("expected TENANT_KEY_ARCHIVE or TENANT_KEY_TRACE", field="key")
        version, recipient = await self._keeper.rotate(rpc.tenant(request.tenant), kind)
        return keys_pb2.RotateTenantKeyResponse(version=version, recipient=recipient)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput("expected a day such as 2026-11-24", field="day") from error
