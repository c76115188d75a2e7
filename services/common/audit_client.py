"""The audit log as its writers see it: an entry is durable, with its proof, before the work goes on.

`AuditTrail` (`audit_entries.py`) is for work that is done already and does not
wait; this is for reveals, which may not happen before their entry is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import grpc
import orjson

from services.common.audit_entries import AuditEntry
from services.common.errors import Error, Unavailable
from services.common.ids import TenantId

if TYPE_CHECKING:
    from services.common.app import Context

_TIMEOUT = 5.0
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Receipt:
    """What proves that an entry is in a tenant's log; `services.common.tlog.receipt.check` checks it.

    `entry` is the leaf (canonical JSON), `proof` its inclusion proof (RFC 6962 2.1.1) in the tree that the signed
    note `checkpoint` names, `opening` the salts and values behind the leaf's commitments (canonical JSON).
    """

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    opening: bytes


class AuditLog(Protocol):
    """Appends to the tenants' logs."""

    async def append(self, entry: AuditEntry) -> Receipt:
        """Make the entry durable; idempotent by the entry's bytes, its `at` included.

        Raises `Unavailable` when the log cannot be written (the caller fails closed), `Denied` when this service may
        not write this action, `InvalidInput` or `TooLarge` for an entry that no log takes.
        """


class RemoteAuditLog:
    """The log of this installation, from the service `audit` over mTLS in the name of a service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        from letterlock.audit.v1 import audit_pb2_grpc

        self._channel = channel
        self._stub: Any = audit_pb2_grpc.AuditServiceStub(channel)

    @classmethod
    def of(cls, ctx: Context) -> RemoteAuditLog:
        """The log, called in the name of `ctx`'s service."""
        from services.common import rpc

        return cls(rpc.connect_service(ctx.settings, me=ctx.name, peer="audit"))

    async def append(self, entry: AuditEntry) -> Receipt:
        """See `AuditLog`."""
        from letterlock.audit.v1 import audit_pb2

        from services.common import rpc

        request = audit_pb2.AppendRequest(tenant=entry.tenant, entry=entry.stamped().dump())
        last: Error = Unavailable("the audit log does not answer")
        for _ in range(_TRIES):  # the same bytes again are the same entry
            try:
                answer = await self._stub.Append(request, timeout=_TIMEOUT)
            except grpc.RpcError as error:
                last = rpc.translate(error)
                if not last.retry:
                    raise last from error
                continue
            found = answer.receipt
            return Receipt(found.entry, found.index, tuple(found.proof), found.checkpoint, found.opening)
        raise last

    async def consistency(self, tenant: TenantId, first: int, second: int) -> tuple[bytes, ...]:
        """Why a tenant's log of `second` entries extends that of `first`; checked by `tlog.merkle.check_consistency`.

        Raises `Unavailable`, and `NotFound` when the log has fewer entries.
        """
        from letterlock.audit.v1 import audit_pb2

        from services.common import rpc

        request = audit_pb2.GetConsistencyRequest(tenant=tenant, first=first, second=second)
        try:
            return tuple((await self._stub.GetConsistency(request, timeout=_TIMEOUT)).proof)
        except grpc.RpcError as error:
            rpc.raise_for(error)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()


def opened(receipt: Receipt) -> dict[str, Any]:
    """The values behind the commitments of a receipt's entry: `actor` and `detail`."""
    document: dict[str, Any] = orjson.loads(receipt.opening)
    return document
