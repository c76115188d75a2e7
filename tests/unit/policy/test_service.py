"""PolicyService: apply, look back, roll back, trace; the old revision stays in force when a document is bad."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2

from services.common import rpc
from services.common.auth import Principal
from services.common.control import Control
from services.common.errors import Conflict, InvalidInput, NotFound
from services.common.ids import INSTALLATION, TenantId
from services.common.testing.bus import InMemoryBus
from services.common.testing.objects import InMemoryObjects
from services.policy.adapters.grpc import PolicyServicer
from services.policy.adapters.revisions import Revisions
from services.policy.core.extract import Limits
from services.policy.decide import Bounds, Decider
from services.policy.pool import FairPool
from services.policy.shadow import ShadowTally
from tests.unit.policy.builders import mail

HOLD = "version: 1\nrules:\n  - {id: a, when: {subject: {contains: hi}}, then: {hold: {reviewers: legal}}}\n"
REFUSE = "version: 1\nrules:\n  - {id: a, then: {refuse: {text: no}}}\n"
BAD = "version: 1\nrules:\n  - {id: a, then: {hold: {reviewers: nobody}}}\n"


class House:
    """One tenant with a group and a domain, and its policy service."""

    def __init__(self, control: Control) -> None:
        self.control, self.tenant = control, TenantId.new()
        self.revisions = Revisions(control, cached=10)
        pool = FairPool(1, waiting=4, waiting_per_tenant=4)
        self.tally = ShadowTally(InMemoryObjects(), self.revisions.coarse_group)
        decider = Decider(self.revisions, pool, Bounds(Limits(), 1 << 20), tally=self.tally)
        self.servicer = PolicyServicer(self.revisions, decider, self.tally)

    async def fill(self) -> None:
        """Make the tenant."""
        put = self.control.put
        await put(self.tenant, "tenant", "self", {"name": "acme"}, expected=0, actor="ops")
        await put(INSTALLATION, "domain-claim", "acme.example", {"tenant": self.tenant}, expected=0, actor="ops")
        await put(self.tenant, "domain", "acme.example", {"recipients": "any"}, expected=0, actor="ops")
        await put(self.tenant, "group", "legal", {"members": ["lin@acme.example"]}, expected=0, actor="ops")

    async def call(self, method: str, request: Any, *, tenant: TenantId | None = None) -> Any:
        """Call as an administrator of the tenant."""
        caller = Principal("person", tenant or self.tenant, "admin@acme.example", frozenset({"tenant_admin"}))
        with rpc.acting_as(caller, self.control.directory):
            return await getattr(self.servicer, method)(request, None)

    async def apply(self, document: str, **more: Any) -> policy_pb2.ApplyResponse:
        """Apply a document."""
        answer: policy_pb2.ApplyResponse = await self.call("Apply", policy_pb2.ApplyRequest(document=document, **more))
        return answer


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """One tenant."""
    async with Control(InMemoryObjects(), InMemoryBus(), node="policy").running() as control:
        made = House(control)
        await made.fill()
        yield made


async def test_without_a_policy_everything_is_delivered(house: House) -> None:
    """Revision 0, and Get finds nothing."""
    assert house.revisions.current(house.tenant).revision == 0
    with pytest.raises(NotFound):
        await house.call("Get", policy_pb2.GetRequest())
    answer = await house.call("Trace", policy_pb2.TraceRequest(mail=mail()))
    assert answer.decision.origin == "no_policy"
    assert answer.decision.legs[0].disposition == mail_pb2.DISPOSITION_DELIVER


async def test_applying_puts_in_force_at_once(house: House) -> None:
    """The new revision decides, and is read back as it was written; the same text changes nothing."""
    first = await house.apply(HOLD, note="begin")
    assert (first.revision.number, first.changed, first.revision.actor) == (1, True, "admin@acme.example")
    assert house.revisions.current(house.tenant).revision == 1
    again = await house.apply(HOLD)
    assert (again.revision.number, again.changed) == (1, False)
    got = await house.call("Get", policy_pb2.GetRequest())
    assert (got.document, got.running, got.revision.note, got.revision.rules) == (HOLD, 1, "begin", 1)


async def test_a_bad_document_is_refused_with_line_and_reason(house: House) -> None:
    """The old revision stays in force."""
    await house.apply(HOLD)
    with pytest.raises(InvalidInput) as refused:
        await house.apply(BAD)
    ((field, reason),) = rpc.violations(refused.value)
    assert field == "line 3: rules[0].then.hold.reviewers"
    assert "no group 'nobody'" in reason
    assert house.revisions.current(house.tenant).revision == 1
    checked = await house.call("Check", policy_pb2.CheckRequest(document=BAD))
    assert [(m.line, m.path) for m in checked.mistakes] == [(3, "rules[0].then.hold.reviewers")]
    assert (await house.call("Check", policy_pb2.CheckRequest(document=HOLD))).rules == 1
    coming = await house.call("Check", policy_pb2.CheckRequest(document=BAD, groups=["nobody"]))
    assert (coming.rules, list(coming.mistakes)) == (1, [])


async def test_history_and_rollback(house: House) -> None:
    """Every revision stays; going back is a new revision."""
    await house.apply(HOLD)
    await house.apply(REFUSE, expected_revision=1)
    with pytest.raises(Conflict):
        await house.apply(HOLD, expected_revision=1)
    back = await house.call("Rollback", policy_pb2.RollbackRequest(revision=1))
    assert (back.revision.number, back.revision.note) == (3, "rollback to 1")
    page = await house.call("History", policy_pb2.HistoryRequest(page_size=2))
    rest = await house.call("History", policy_pb2.HistoryRequest(page_token=page.next_page_token))
    assert [r.number for r in (*page.revisions, *rest.revisions)] == [3, 2, 1]
    assert (await house.call("Get", policy_pb2.GetRequest(revision=2))).document == REFUSE
    with pytest.raises(NotFound):
        await house.call("Rollback", policy_pb2.RollbackRequest(revision=9))


async def test_tracing_a_draft_keeps_nothing(house: House) -> None:
    """The draft decides about the mail that is brought; directions come from the addresses."""
    await house.apply(REFUSE)
    answer = await house.call("Trace", policy_pb2.TraceRequest(mail=mail().replace(b"\r\n", b"\n"), document=HOLD))
    assert answer.decision.recipients[0].direction == mail_pb2.DIRECTION_OUTBOUND
    assert answer.decision.legs[0].disposition == mail_pb2.DISPOSITION_HOLD
    assert answer.decision.why[0].matched
    assert (await house.call("Trace", policy_pb2.TraceRequest(mail=mail(), document=BAD))).mistakes
    inside = policy_pb2.TraceRequest(mail=mail(), sender="x@world.example", recipients=["bob@acme.example"])
    assert (await house.call("Trace", inside)).decision.recipients[0].direction == mail_pb2.DIRECTION_INBOUND
    assert house.revisions.current(house.tenant).revision == 1


async def test_another_tenant_does_not_exist(house: House) -> None:
    """Naming it finds nothing, and its policy is not shown."""
    await house.apply(HOLD)
    other = TenantId.new()
    with pytest.raises(NotFound):
        await house.call("Get", policy_pb2.GetRequest(tenant=house.tenant), tenant=other)
    with pytest.raises(NotFound):
        await house.call("Get", policy_pb2.GetRequest(), tenant=other)
