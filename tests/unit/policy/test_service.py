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
from services.common.errors import Conflict, InvalidInput, NotFound, Unavailable
from services.common.ids import INSTALLATION, MailId, TenantId
from services.common.testing import eventually
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
        self.decider = decider
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


SHADOW = "version: 1\nrules:\n  - {id: s, mode: shadow, when: {subject: {contains: hi}}, then: {delete: {}}}\n"
DOUBTFUL = HOLD + "  - {id: b, when: {subject: {contains: hi}}, then: {pass: {}}}\n"


async def test_doubts_are_told_and_do_not_hinder(house: House) -> None:
    """By lint, by check, and as warnings of apply."""
    applied = await house.apply(DOUBTFUL)
    assert applied.changed
    assert [(w.line, w.path) for w in applied.warnings] == [(4, "rules[1]")]
    assert "contradicts 'a' in line 3" in applied.warnings[0].reason
    assert (await house.call("Check", policy_pb2.CheckRequest(document=DOUBTFUL))).warnings == applied.warnings
    assert (await house.call("Lint", policy_pb2.LintRequest())).findings == applied.warnings
    assert list((await house.call("Lint", policy_pb2.LintRequest(document=HOLD))).findings) == []
    assert (await house.call("Lint", policy_pb2.LintRequest(document=BAD))).mistakes
    with pytest.raises(NotFound):
        await house.call("Lint", policy_pb2.LintRequest(), tenant=TenantId.new())


async def test_verdict_that_nobody_gives_here_is_refused_with_the_setting(house: House) -> None:
    """Neither engine is configured; a draft is not tried with one either."""
    spam = "version: 1\nrules:\n  - {id: a, when: {verdict: {spam: '>=6'}}, then: {hold: {}}}\n"
    malware = "version: 1\nrules:\n  - {id: a, when: {verdict: {malware: true}}, then: {hold: {}}}\n"
    asked = "version: 1\nrules:\n  - {id: a, when: {cel: 'mail.verdict.spam > 6.0'}, then: {hold: {}}}\n"
    for document, setting in ((spam, "RSPAMD_URL"), (malware, "CLAMAV_ADDRESS"), (asked, "RSPAMD_URL")):
        with pytest.raises(InvalidInput) as refused:
            await house.apply(document)
        ((field, reason),) = rpc.violations(refused.value)
        assert field.startswith("line 3: rules[0].when.")
        assert f"LETTERLOCK_POLICY__{setting} is not set" in reason
    assert house.revisions.current(house.tenant).revision == 0


async def test_expression_with_a_mistake_is_refused_with_its_line(house: House) -> None:
    """Field and type, and an unknown detector."""
    for source, words in (
        ("mail.siz > 1", "undefined field"),
        ("mail.detectors['x'].count > 1", "unknown detector 'x'"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await house.apply(f'version: 1\nrules:\n  - {{id: a, when: {{cel: "{source}"}}, then: {{hold: {{}}}}}}\n')
        ((field, reason),) = rpc.violations(refused.value)
        assert (field, words in reason) == ("line 3: rules[0].when.cel", True)


async def test_shadow_report_counts_mail_and_not_traces(house: House) -> None:
    """What a trace finds was only asked."""
    await house.apply(SHADOW)
    await house.call("Trace", policy_pb2.TraceRequest(mail=mail()))
    assert list((await house.call("ShadowReport", policy_pb2.ShadowReportRequest())).counts) == []
    envelope = mail_pb2.Envelope(tenant=house.tenant, mail_id=MailId.new(), sender="lin@acme.example")
    envelope.recipients.add(address="bob@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    await house.decider(envelope, mail(), queued=False, timeout=5)
    answer = await house.call("ShadowReport", policy_pb2.ShadowReportRequest(days=2))
    (row,) = answer.counts
    assert (row.rule, row.mode, row.direction) == ("s", "shadow", mail_pb2.DIRECTION_OUTBOUND)
    assert (row.group, row.outcome, row.mails) == ("legal", "delete", 1)
    assert [(r.rule, r.mails, r.outcome) for r in answer.asked] == [("s", 1, "")]
    for days in (-1, 367):
        with pytest.raises(InvalidInput):
            await house.call("ShadowReport", policy_pb2.ShadowReportRequest(days=days))


async def test_decision_is_replayed_against_the_revision_it_names(house: House) -> None:
    """Also when another one is in force; another tenant's does not exist."""
    await house.apply(HOLD)
    decision = (await house.call("Trace", policy_pb2.TraceRequest(mail=mail()))).decision
    await house.apply(REFUSE)
    answer = await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest(decision=decision))
    assert (answer.same, list(answer.differences)) == (True, [])
    decision.revision = 2
    answer = await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest(decision=decision))
    assert not answer.same
    assert any("refuse" in d for d in answer.differences)
    decision.revision = 9
    with pytest.raises(NotFound):
        await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest(decision=decision))
    with pytest.raises(NotFound):
        await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest(decision=decision), tenant=TenantId.new())
    with pytest.raises(InvalidInput):
        await house.call("ReplayWhy", policy_pb2.ReplayWhyRequest())


async def test_new_revisions_of_other_nodes_are_compiled_off_the_loop() -> None:
    """Until the new one is ready the old one decides; a bad one is never "no policy"."""
    objects, bus = InMemoryObjects(), InMemoryBus()
    async with (
        Control(objects, bus, node="policy").running() as here,
        Control(objects, bus, node="policy").running() as there,
    ):
        house, other = House(here), Revisions(there, cached=10)
        await house.fill()
        await house.apply(HOLD)
        async with other.following():
            await eventually(lambda: other.current(house.tenant).revision == 1)
            await house.apply(REFUSE)
            await eventually(lambda: there.directory.tenant(house.tenant).policy_revision == 2)  # type: ignore[union-attr]
            assert other.current(house.tenant).revision in (1, 2)
            await eventually(lambda: other.current(house.tenant).revision == 2)
            await here.put(house.tenant, "policy", "self", {"document": "version: 9"}, expected=2, actor="x")
            await eventually(lambda: _unusable(other, house.tenant))


def _unusable(revisions: Revisions, tenant: TenantId) -> bool:
    try:
        revisions.current(tenant)
    except Unavailable:
        return True
    return False
