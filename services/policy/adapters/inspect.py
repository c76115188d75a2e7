"""InspectionService over gRPC: a stored mail under the policy in force, for who is about to release it."""

from __future__ import annotations

from typing import Any

from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2, policy_pb2_grpc

from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.policy.adapters import wire
from services.policy.adapters.senders import says_malware
from services.policy.decide import Decider
from services.policy.filters import Filters

_SECONDS = 20.0


class InspectionServicer(policy_pb2_grpc.InspectionServiceServicer):
    """Decides about mails of the store again, and keeps nothing. The engines are asked whether rules do or not."""

    def __init__(self, reader: MailReader, decider: Decider, filters: Filters) -> None:
        self._reader, self._decider, self._filters = reader, decider, filters

    async def Inspect(self, request: policy_pb2.InspectRequest, context: Any) -> policy_pb2.InspectResponse:
        """See the proto."""
        tenant, mail_id = TenantId.parse(request.tenant), MailId.parse(request.mail_id)
        header, raw = await self._reader.read(tenant, mail_id)
        malware = await self._malware(tenant, header.envelope, raw)
        envelope = mail_pb2.Envelope()
        envelope.CopyFrom(header.envelope)
        envelope.origin = "trace"  # it is counted already
        decision = await self._decider(envelope, raw, queued=True, timeout=_SECONDS)
        return policy_pb2.InspectResponse(decision=decision, malware=malware or says_malware(decision))

    async def _malware(self, tenant: TenantId, envelope: mail_pb2.Envelope, raw: bytes) -> bool:
        """What the engines say; raises `Unavailable` when one that could tell does not."""
        if "malware" not in self._filters.answers:
            return False
        said = await self._filters(tenant, wire.question(envelope, raw), timeout=_SECONDS)
        if said.malware is None:
            raise Unavailable("the malware engine does not answer")
        return said.malware
