"""The key keeper as its callers see it: private keys over mTLS, from the service `encryption`."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import grpc
from letterlock.keys.v1 import keys_pb2, keys_pb2_grpc

from services.common import rpc
from services.common.ids import TenantId

if TYPE_CHECKING:
    from services.common.app import Context

_TIMEOUT = 5.0
"""Seconds for one call; a keeper that is just starting is waited for within them."""


class RemoteKeeper:
    """An `IdentitySource`, and for the record keeper the end of a day."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = keys_pb2_grpc.KeyServiceStub(channel)

    @classmethod
    def of(cls, ctx: Context) -> RemoteKeeper:
        """The keeper of this installation, called in the name of `ctx`'s service."""
        return cls(rpc.connect_service(ctx.settings, me=ctx.name, peer="encryption"))

    async def pipeline(self, day: date) -> Sequence[str]:
        """See `IdentitySource`."""
        request = keys_pb2.GetPipelineKeyRequest(day=day.isoformat())
        return tuple(
            (await _call(self._stub.GetPipelineKey(request, timeout=_TIMEOUT, wait_for_ready=True))).identities
        )

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        """See `IdentitySource`."""
        request = keys_pb2.GetTraceKeyRequest(tenant=tenant)
        return tuple((await _call(self._stub.GetTraceKey(request, timeout=_TIMEOUT, wait_for_ready=True))).identities)

    async def complete(self, day: date) -> None:
        """Say that all mails of a day are final and indexed; raises `Rejected` for a day too young, `Unavailable`."""
        request = keys_pb2.CompleteDayRequest(day=day.isoformat())
        await _call(self._stub.CompleteDay(request, timeout=_TIMEOUT, wait_for_ready=True))

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()


async def _call(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.RpcError as error:
        rpc.raise_for(error)
