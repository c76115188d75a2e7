"""InspectionService over gRPC: a stored mail under the policy in force, for who is about to release it."""

from __future__ import annotations

from typing import Any

from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2, policy_pb2_grpc

from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.policy.decide import Decider

_SECONDS = 20.0


class InspectionServicer(policy_pb2_grpc.InspectionServiceServicer):
    """Decides about mails of the store again, and keeps nothing."""

    def __init__(self, reader: MailReader, decider: Decider) -> None:
        self._reader, self._decider = reader, decider

    async def Inspect(self, request: policy_pb2.InspectRequest, context: Any) -> policy_pb2.InspectResponse:
        """See the proto."""
        tenant, mail_id = TenantId.parse(request.tenant), MailId.parse(request.mail_id)
        header, raw = await self._reader.read(tenant, mail_id)
        decision = await self._decider(header.envelope, raw, queued=True, timeout=_SECONDS)
        return policy_pb2.InspectResponse(decision=decision, malware=says_malware(decision))


def says_malware(decision: mail_pb2.Decision) -> bool:
    """Whether any rule, also one in shadow, asked the engines for malware and was told a signature."""
    predicates = (predicate for rule in decision.why for predicate in rule.predicates)
    return any(span.startswith("malware ") for predicate in predicates for span in predicate.spans)
