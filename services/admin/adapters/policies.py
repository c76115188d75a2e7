"""The policy service over gRPC, as the port `Policies`."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import timedelta

import grpc
from letterlock.policy.v1 import policy_pb2 as pb
from letterlock.policy.v1 import policy_pb2_grpc as rpcs

from services.common.errors import NotFound
from services.common.grpc_status import raise_for
from services.common.ids import TenantId


class PolicyService:
    """Calls policy by mTLS as `admin`; `timeout` bounds each call."""

    def __init__(self, channel: grpc.aio.Channel, timeout: timedelta) -> None:
        self._stub = rpcs.PolicyServiceStub(channel)
        self._timeout = timeout.total_seconds()

    async def current(self, tenant: TenantId) -> str | None:
        """See the port."""
        try:
            answer = await _asked(self._stub.Get(pb.GetRequest(tenant=tenant), timeout=self._timeout))
        except NotFound:
            return None
        return str(answer.document)

    async def check(self, tenant: TenantId, document: str, groups: Sequence[str]) -> list[tuple[str, str]]:
        """See the port."""
        request = pb.CheckRequest(tenant=tenant, document=document, groups=groups)
        answer = await _asked(self._stub.Check(request, timeout=self._timeout))
        return [(m.path or (f"line {m.line}" if m.line else ""), m.reason) for m in answer.mistakes]

    async def apply(self, tenant: TenantId, document: str, note: str) -> bool:
        """See the port."""
        request = pb.ApplyRequest(tenant=tenant, document=document, note=note)
        answer = await _asked(self._stub.Apply(request, timeout=self._timeout))
        return bool(answer.changed)


async def _asked[T](call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise_for(error)
