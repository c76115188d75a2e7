"""KeepService (proto/letterlock/archive/v1/keep.proto): proofs of the ingest log, and the store compared with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from letterlock.archive.v1 import keep_pb2, keep_pb2_grpc

from services.archive.ingest import IngestLog
from services.archive.verify import Verifier
from services.common import ingestlog, log, rpc
from services.common.errors import InvalidInput
from services.common.ids import MailId

_log = log.get(__name__)
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)?")
_PART = 1000


class KeepServicer(keep_pb2_grpc.KeepServiceServicer):
    """Answers from `IngestLog` and `Verifier`."""

    def __init__(self, ingest: IngestLog, verifier: Verifier) -> None:
        self._ingest, self._verifier = ingest, verifier

    async def Prove(self, request: keep_pb2.ProveRequest, context: Any) -> keep_pb2.ProveResponse:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        proof = await self._ingest.prove(tenant, MailId.parse(request.mail_id))
        key = ingestlog.key_of(tenant, self._ingest.public).text
        return keep_pb2.ProveResponse(tenant_id=tenant, key=key, proof=orjson.dumps(proof.dump()))

    async def Verify(self, request: keep_pb2.VerifyRequest, context: Any) -> AsyncIterator[keep_pb2.VerifyResponse]:
        """See the proto."""
        tenant = rpc.tenant(request.tenant)
        if not _DAY.fullmatch(request.after):
            raise InvalidInput("expected a day such as 2026-11-24", field="after")
        wrong = 0
        async with aclosing(self._verifier.run(tenant, after=request.after)) as days:
            async for day in days:
                wrong += len(day.differences)
                found = [
                    keep_pb2.Difference(kind=d.kind, what=d.what, day=d.tree, detail=d.detail) for d in day.differences
                ]
                for start in range(0, len(found), _PART):
                    yield keep_pb2.VerifyResponse(day=day.tree, differences=found[start : start + _PART])
                yield keep_pb2.VerifyResponse(day=day.tree, checked=day.checked, unsealed=day.unsealed)
        if wrong:
            _log.error("verify.differences", tenant=tenant, number=wrong)
