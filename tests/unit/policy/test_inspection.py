"""A stored mail judged again: the engines are asked whether rules do or not, and their silence is no answer."""

from __future__ import annotations

from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2

from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.policy.adapters.inspect import InspectionServicer
from services.policy.core.filters import FilterVerdict
from services.policy.filters import Filters
from services.policy.ports import Question

ACME = TenantId.new()


class _Reader:
    async def read(self, tenant: TenantId, mail_id: MailId) -> tuple[mail_pb2.ObjectHeader, bytes]:
        header = mail_pb2.ObjectHeader()
        header.envelope.tenant, header.envelope.mail_id, header.envelope.origin = tenant, mail_id, "relay"
        return header, b"Subject: x\r\n\r\n"


class _Decider:
    async def __call__(self, envelope: mail_pb2.Envelope, raw: bytes, **how: Any) -> mail_pb2.Decision:
        assert (envelope.origin, how["queued"]) == ("trace", True)
        return mail_pb2.Decision(mail_id=envelope.mail_id)


class _Scanner:
    answers = frozenset({"malware"})

    def __init__(self, says: bool | None) -> None:
        self.says = says

    async def ask(self, question: Question) -> FilterVerdict:
        return FilterVerdict(malware=self.says)

    async def close(self) -> None:
        return None


async def ask(*engines: _Scanner) -> policy_pb2.InspectResponse:
    """The answer about a mail."""
    servicer = InspectionServicer(_Reader(), _Decider(), Filters(engines))  # type: ignore[arg-type]
    return await servicer.Inspect(policy_pb2.InspectRequest(tenant=ACME, mail_id=MailId.new()), None)


async def test_engine_decides_about_malware() -> None:
    """Yes, no, and no engine at all."""
    assert (await ask(_Scanner(True))).malware
    assert not (await ask(_Scanner(False))).malware
    assert not (await ask()).malware


async def test_engine_that_is_silent_releases_nothing() -> None:
    """Where one is configured, its silence is not a no."""
    with pytest.raises(Unavailable):
        await ask(_Scanner(None))
