"""AuditService over gRPC. Who may call is declared in the proto and enforced before this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from letterlock.audit.v1 import audit_pb2, audit_pb2_grpc

from services.audit.adapters.leases import Leases
from services.audit.append import Logs
from services.audit.core.actions import may_write
from services.audit.read import Reading, items
from services.audit.witnessing import Witnessing
from services.common import log, rpc
from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.errors import Denied, InvalidInput, NotFound, TooLarge
from services.common.ids import INSTALLATION, TenantId

_log = log.get(__name__)
_MOST_ITEMS, _ITEMS = 1000, 100
_PAGE_BYTES = 2 * 1024 * 1024
_CHUNK = 512 * 1024
_LARGEST = 512 * 1024
_FORWARDING = 3.0

type Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """The logs' surface. `connect` opens a channel to another sequencer by its address."""

    def __init__(
        self,
        logs: Logs,
        reading: Reading,
        witnessing: Witnessing,
        leases: Leases,
        connect: Callable[[str], grpc.aio.Channel],
    ) -> None:
        self._logs, self._reading, self._witnessing, self._leases = logs, reading, witnessing, leases
        self._connect = connect
        self._peers: dict[str, Any] = {}

    async def Append(self, request: audit_pb2.AppendRequest, context: Context) -> audit_pb2.AppendResponse:
        """See the proto."""
        caller = rpc.principal().service
        forwarded = caller == "audit" and request.service
        service = request.service if forwarded else caller
        if len(request.entry) > _LARGEST:
            raise TooLarge("an entry is too large")
        found = AuditEntry.load(request.entry)
        if found.tenant != TenantId.parse(request.tenant):
            raise InvalidInput("an entry of another tenant", field="tenant")
        if not may_write(service, found.action):
            _log.warning("audit.writer_refused", writer=service, action=found.action)
            raise Denied("this service may not write this action", public="this service may not write this action")
        if not forwarded:
            answer = await self._by_its_holder(found.tenant, request, service)
            if answer is not None:
                return answer
        receipt = await self._logs.append(request.entry, found, service)
        return audit_pb2.AppendResponse(receipt=_receipt(receipt))

    async def List(self, request: audit_pb2.ListRequest, context: Context) -> audit_pb2.ListResponse:
        """See the proto."""
        if not 0 <= request.page_size <= _MOST_ITEMS:
            raise InvalidInput(f"a page has at most {_MOST_ITEMS} entries", field="page_size")
        start = _index(request.page_token)
        page, after = await self._reading.page(
            _tenant(request.tenant), start, request.page_size or _ITEMS, request.action
        )
        answer, size = audit_pb2.ListResponse(), 0
        for item in items(page):
            message = audit_pb2.Item(**item)
            size += message.ByteSize()
            if answer.items and size > _PAGE_BYTES:
                after = message.index
                break
            answer.items.append(message)
        answer.next_page_token = "" if after is None else str(after)
        return answer

    async def Export(
        self, request: audit_pb2.ExportRequest, context: Context
    ) -> AsyncIterator[audit_pb2.ExportResponse]:
        """See the proto."""
        waiting = bytearray()
        async for piece in self._reading.export(_tenant(request.tenant), values=not request.without_values):
            waiting += piece
            while len(waiting) >= _CHUNK:
                yield audit_pb2.ExportResponse(chunk=bytes(waiting[:_CHUNK]))
                del waiting[:_CHUNK]
        yield audit_pb2.ExportResponse(chunk=bytes(waiting))

    async def GetProof(self, request: audit_pb2.GetProofRequest, context: Context) -> audit_pb2.GetProofResponse:
        """See the proto."""
        return audit_pb2.GetProofResponse(proof=await self._reading.proof(_tenant(request.tenant), request.index))

    async def GetConsistency(
        self, request: audit_pb2.GetConsistencyRequest, context: Context
    ) -> audit_pb2.GetConsistencyResponse:
        """See the proto."""
        if not 0 <= request.first <= request.second:
            raise InvalidInput("the second size is at least the first", field="second")
        proof = await self._reading.consistency(_tenant(request.tenant), request.first, request.second)
        return audit_pb2.GetConsistencyResponse(proof=proof)

    async def Checkpoint(self, request: audit_pb2.CheckpointRequest, context: Context) -> audit_pb2.CheckpointResponse:
        """See the proto."""
        return audit_pb2.CheckpointResponse(checkpoint=await self._reading.checkpoint(_tenant(request.tenant)))

    async def Status(self, request: audit_pb2.StatusRequest, context: Context) -> audit_pb2.StatusResponse:
        """See the proto."""
        opened = self._logs.of(_tenant(request.tenant))
        await opened.refresh()
        state = await self._witnessing.state(opened)
        return audit_pb2.StatusResponse(
            origin=opened.key.name,
            size=opened.size,
            key=opened.key.text,
            witnessed_size=state.witnessed,
            unwitnessed_seconds=int(state.unwitnessed_seconds),
            witnesses=self._witnessing.on,
        )

    async def _by_its_holder(
        self, tenant: TenantId, request: audit_pb2.AppendRequest, service: str
    ) -> audit_pb2.AppendResponse | None:
        """The answer of the sequencer whose turn it is; None when it is this one's, or does not answer."""
        holder = await self._leases.elsewhere(tenant)
        if not holder:
            return None
        if holder not in self._peers:
            self._peers[holder] = audit_pb2_grpc.AuditServiceStub(self._connect(holder))
        forwarded = audit_pb2.AppendRequest(tenant=request.tenant, entry=request.entry, service=service)
        try:
            answer: audit_pb2.AppendResponse = await self._peers[holder].Append(forwarded, timeout=_FORWARDING)
        except grpc.RpcError as error:
            translated = rpc.translate(error)
            if not translated.retry:
                raise translated from error
            self._leases.doubt(tenant)
            return None
        return answer


def _tenant(named: str) -> TenantId:
    """Whose log: an officer's own tenant's, an operator's the installation's, a service's the named one."""
    caller = rpc.principal()
    if caller.kind == "operator":
        if named not in ("", INSTALLATION):
            raise NotFound("no such log", public="operators see the installation's log only")
        return INSTALLATION
    return rpc.tenant(named)


def _receipt(receipt: Receipt) -> audit_pb2.Receipt:
    return audit_pb2.Receipt(
        entry=receipt.entry,
        index=receipt.index,
        proof=receipt.proof,
        checkpoint=receipt.checkpoint,
        opening=receipt.opening,
    )


def _index(token: str) -> int:
    if token and not (token.isascii() and token.isdigit() and len(token) <= 15):
        raise InvalidInput("not a page token", field="page_token")
    return int(token or 0)
