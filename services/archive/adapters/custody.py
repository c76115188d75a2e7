"""Custody over mTLS, from the service `encryption`: see `ports.Custody` and `ports.IndexKeys`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import orjson
from letterlock.audit.v1 import audit_pb2
from letterlock.encryption.v1 import custody_pb2, custody_pb2_grpc

from services.archive.adapters.wire import milliseconds
from services.archive.ports import Blinded, MonthKeys, Opened, Proof, Tokens
from services.common import rpc
from services.common.audit_client import Receipt
from services.common.errors import Corrupt, Unavailable
from services.common.ids import MailId, TenantId

if TYPE_CHECKING:
    from services.common.app import Context

_TIMEOUT = 10.0
_STREAM_TIMEOUT = 600.0
_PART = 1000


class RemoteCustody:
    """Keys for the side that indexes; everything else against receipts."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stub: Any = custody_pb2_grpc.CustodyServiceStub(channel)

    @classmethod
    def of(cls, ctx: Context) -> RemoteCustody:
        """The custody of this installation, called in the name of `ctx`'s service."""
        return cls(rpc.connect_service(ctx.settings, me=ctx.name, peer="encryption"))

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()

    async def index_keys(self, tenant: TenantId, months: Sequence[str]) -> Mapping[str, MonthKeys]:
        """See `ports.IndexKeys`."""
        request = custody_pb2.GetIndexKeysRequest(tenant=tenant, months=months)
        with _translated():
            answer = await self._stub.GetIndexKeys(request, timeout=_TIMEOUT)
        found = {k.month: MonthKeys(k.key, k.summary_key) for k in answer.keys}
        if not found.keys() >= set(months):
            raise Unavailable("custody gave no key for a month")
        return found

    async def blind(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, months: Sequence[str]
    ) -> Mapping[str, Blinded]:
        """See `ports.Custody`."""
        request = custody_pb2.BlindRequest(tenant=tenant, grant_id=grant_id, receipt=_receipt(receipt), months=months)
        with _translated():
            answer = await self._stub.Blind(request, timeout=_TIMEOUT)
        found: dict[str, Blinded] = {
            month.month: [[Tokens(t.field, tuple(t.tokens)) for t in leaf.lookups] for leaf in month.leaves]
            for month in answer.months
        }
        if found.keys() != set(months):
            raise Corrupt("custody blinded other months than were asked")
        return found

    async def open_summaries(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, leaves: Sequence[str], summaries: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """See `ports.Custody`."""
        documents = [
            custody_pb2.SealedSummary(document_id=one, summary=sealed)
            for one, sealed in zip(leaves, summaries, strict=True)
        ]

        def requests() -> Iterator[custody_pb2.OpenSummariesRequest]:
            first: dict[str, Any] = {"tenant": tenant, "grant_id": grant_id, "receipt": _receipt(receipt)}
            for start in range(0, len(documents), _PART):
                yield custody_pb2.OpenSummariesRequest(documents=documents[start : start + _PART], **first)
                first = {}

        found: list[Mapping[str, Any]] = []
        with _translated():
            async for part in self._stub.OpenSummaries(requests(), timeout=_STREAM_TIMEOUT):
                found += [orjson.loads(summary) if summary else {} for summary in part.summaries]
        if len(found) != len(documents):
            raise Corrupt("custody opened another number of summaries")
        return found

    async def open(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, mail_id: MailId, proof: Proof
    ) -> AsyncGenerator[bytes | Opened]:
        """See `ports.Custody`."""
        request = custody_pb2.OpenRequest(
            tenant=tenant,
            grant_id=grant_id,
            receipt=_receipt(receipt),
            mail_id=mail_id,
            result=_receipt(proof.result),
            index=proof.index,
            size=proof.size,
            path=proof.path,
        )
        told: Opened | None = None
        call = self._stub.Open(request, timeout=_STREAM_TIMEOUT)
        try:
            with _translated():
                async for part in call:
                    if part.HasField("mail"):
                        head = part.mail
                        told = Opened(
                            head.size, head.sha256, head.sender, tuple(head.recipients), milliseconds(head.received)
                        )
                    elif part.piece:
                        yield part.piece
        finally:
            call.cancel()
        if told is None:
            raise Corrupt("custody opened a mail without saying which")
        yield told


def _receipt(receipt: Receipt) -> audit_pb2.Receipt:
    return audit_pb2.Receipt(
        entry=receipt.entry,
        index=receipt.index,
        proof=receipt.proof,
        checkpoint=receipt.checkpoint,
        opening=receipt.opening,
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        if isinstance(error, grpc.aio.AioRpcError) and error.code() is grpc.StatusCode.UNIMPLEMENTED:
            raise Unavailable("no custody answers here") from error
        rpc.raise_for(error)
