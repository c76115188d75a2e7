"""PolicyService over gRPC: names and numbers of the wire to the revisions and the decider."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from letterlock.mail.v1 import mail_pb2
from letterlock.policy.v1 import policy_pb2, policy_pb2_grpc

from services.common import rpc
from services.common.errors import InvalidInput, NotFound
from services.common.ids import MailId, TenantId
from services.policy.adapters import wire
from services.policy.adapters.revisions import Revisions, Stored
from services.policy.core.extract import addresses
from services.policy.core.message import Direction
from services.policy.core.replay import replay
from services.policy.core.slowmime import headers_of
from services.policy.core.tree import MAX_BYTES
from services.policy.decide import Decider
from services.policy.shadow import ShadowTally

_PAGE = 100
_MAX_TRACED = 3 * 1024 * 1024
_MAX_DAYS = 366
_TRACE_SECONDS = 20.0


class PolicyServicer(policy_pb2_grpc.PolicyServiceServicer):
    """Serves a tenant's policy. The interceptor has checked the permission before it comes here."""

    def __init__(self, revisions: Revisions, decider: Decider, tally: ShadowTally) -> None:
        self._revisions, self._decider, self._tally = revisions, decider, tally

    async def Get(self, request: policy_pb2.GetRequest, context: Any) -> policy_pb2.GetResponse:
        """One revision with its text."""
        tenant = rpc.tenant(request.tenant)
        stored = await self._revisions.get(tenant, request.revision)
        known = rpc.directory().tenant(tenant)
        return policy_pb2.GetResponse(
            revision=_revision(stored), document=stored.text, running=known.policy_revision if known else 0
        )

    async def Apply(self, request: policy_pb2.ApplyRequest, context: Any) -> policy_pb2.ApplyResponse:
        """Check, then put in force."""
        tenant = rpc.tenant(request.tenant)
        stored, changed, warnings = await self._revisions.apply(
            tenant,
            _bounded(request.document),
            expected=request.expected_revision if request.HasField("expected_revision") else None,
            note=request.note,
            actor=_actor(),
        )
        return policy_pb2.ApplyResponse(revision=_revision(stored), changed=changed, warnings=wire.mistakes(warnings))

    async def Check(self, request: policy_pb2.CheckRequest, context: Any) -> policy_pb2.CheckResponse:
        """Say what is wrong."""
        checked = await self._revisions.check(rpc.tenant(request.tenant), _bounded(request.document), request.groups)
        return policy_pb2.CheckResponse(
            mistakes=wire.mistakes(checked.mistakes),
            rules=len(checked.policy.rules) if checked.policy else 0,
            warnings=wire.mistakes(checked.warnings),
        )

    async def History(self, request: policy_pb2.HistoryRequest, context: Any) -> policy_pb2.HistoryResponse:
        """Revisions, newest first, in pages."""
        revisions = await self._revisions.history(rpc.tenant(request.tenant))
        if request.page_token:
            if not re.fullmatch(r"[0-9]{1,12}", request.page_token):
                raise InvalidInput("not a page token", field="page_token")
            revisions = [r for r in revisions if r.number < int(request.page_token)]
        size = min(request.page_size if request.page_size > 0 else _PAGE, _PAGE)
        page = revisions[:size]
        return policy_pb2.HistoryResponse(
            revisions=[_revision(r) for r in page],
            next_page_token=str(page[-1].number) if len(revisions) > size else "",
        )

    async def Rollback(self, request: policy_pb2.RollbackRequest, context: Any) -> policy_pb2.RollbackResponse:
        """Put an old text in force again."""
        if request.revision < 1:
            raise InvalidInput("name a revision", field="revision")
        stored = await self._revisions.rollback(
            rpc.tenant(request.tenant), request.revision, note=request.note, actor=_actor()
        )
        return policy_pb2.RollbackResponse(revision=_revision(stored))

    async def Trace(self, request: policy_pb2.TraceRequest, context: Any) -> policy_pb2.TraceResponse:
        """Decide about a mail the caller brings, and keep nothing."""
        tenant = rpc.tenant(request.tenant)
        if not request.mail or len(request.mail) > _MAX_TRACED:
            raise InvalidInput(f"bring a mail of at most {_MAX_TRACED} bytes", field="mail")
        draft = None
        if request.document:
            checked = await self._revisions.check(tenant, _bounded(request.document))
            if checked.policy is None:
                return policy_pb2.TraceResponse(mistakes=wire.mistakes(checked.mistakes))
            draft = await self._revisions.with_own(tenant, checked.policy, self._running(tenant) or 1)
        raw = request.mail if b"\r\n" in request.mail else request.mail.replace(b"\n", b"\r\n")
        envelope = self._envelope(tenant, request, raw)
        decision = await self._decider(envelope, raw, queued=False, timeout=_TRACE_SECONDS, draft=draft)
        return policy_pb2.TraceResponse(decision=decision)

    async def Lint(self, request: policy_pb2.LintRequest, context: Any) -> policy_pb2.LintResponse:
        """What is doubtful in a draft, or in the newest revision."""
        tenant = rpc.tenant(request.tenant)
        document = _bounded(request.document) or (await self._revisions.get(tenant)).text
        checked = await self._revisions.check(tenant, document)
        return policy_pb2.LintResponse(
            findings=wire.mistakes(checked.warnings), mistakes=wire.mistakes(checked.mistakes)
        )

    async def ShadowReport(
        self, request: policy_pb2.ShadowReportRequest, context: Any
    ) -> policy_pb2.ShadowReportResponse:
        """What shadow rules would have done."""
        tenant = rpc.tenant(request.tenant)
        if not 0 <= request.days <= _MAX_DAYS:
            raise InvalidInput(f"days are from 1 to {_MAX_DAYS}", field="days")
        return wire.shadow_report(await self._tally.report(tenant, days=request.days or 7))

    async def ReplayWhy(self, request: policy_pb2.ReplayWhyRequest, context: Any) -> policy_pb2.ReplayWhyResponse:
        """Decide once more from a decision's own reasons."""
        tenant = rpc.tenant(request.tenant)
        if not request.HasField("decision"):
            raise InvalidInput("bring a decision", field="decision")
        if request.decision.tenant != tenant:
            raise NotFound("another tenant's decision", public="no such decision")
        certificate = wire.certificate(request.decision)
        policy = await self._revisions.policy(tenant, request.decision.revision)
        found = await asyncio.to_thread(replay, policy, certificate, lambda name: self._revisions.group(tenant, name))
        return policy_pb2.ReplayWhyResponse(
            same=not found.differences, differences=found.differences, not_replayed=found.not_replayed
        )

    def _running(self, tenant: TenantId) -> int:
        known = rpc.directory().tenant(tenant)
        return known.policy_revision if known else 0

    def _envelope(self, tenant: TenantId, request: policy_pb2.TraceRequest, raw: bytes) -> mail_pb2.Envelope:
        headers = headers_of(raw)
        from_header = addresses(headers.get("from", ()))
        sender = request.sender or (from_header[0] if from_header else "")
        named: Sequence[str] = request.recipients or addresses(
            (*headers.get("to", ()), *headers.get("cc", ()), *headers.get("bcc", ()))
        )
        if not named:
            raise InvalidInput("the mail names no recipient: give one", field="recipients")
        envelope = mail_pb2.Envelope(
            tenant=tenant, mail_id=MailId.new(), sender=sender, size=len(raw), origin="trace", body="8BITMIME"
        )
        envelope.received_at.FromDatetime(request.at.ToDatetime(UTC) if request.HasField("at") else datetime.now(UTC))
        if request.tls:
            envelope.peer.tls = "TLS"
        ours = self._is_own(tenant, sender)
        for address in named:
            direction = request.direction or wire.NUMBERS[self._direction(tenant, address, ours)]
            envelope.recipients.add(address=address, direction=direction)
        return envelope

    def _is_own(self, tenant: TenantId, address: str) -> bool:
        domain = rpc.directory().domain_of(address)
        return domain is not None and domain.tenant == tenant

    def _direction(self, tenant: TenantId, address: str, ours: bool) -> Direction:
        if not self._is_own(tenant, address):
            return "outbound"
        return "internal" if ours else "inbound"


def _bounded(document: str) -> str:
    if len(document) > MAX_BYTES:
        raise InvalidInput(f"a document has at most {MAX_BYTES // 1024} KiB", field="document")
    return document


def _actor() -> str:
    caller = rpc.principal()
    return caller.address or caller.service


def _revision(stored: Stored) -> policy_pb2.Revision:
    return wire.revision(
        stored.number, at=stored.at, actor=stored.actor, note=stored.note, rules=stored.rules, sha256=stored.sha256
    )
