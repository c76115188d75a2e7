"""A whole archive to search in, in memory: custody checks receipts as `encryption` does, the index is given."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from letterlock.mail.v1 import mail_pb2

from services.archive.content.feed import ContentFeed
from services.archive.content.segments import BlindSegments
from services.archive.content.take import ContentIndexer
from services.archive.core.blinding import open_summary
from services.archive.core.commitment import Commitment
from services.archive.granted import Granted
from services.archive.manifest import Manifest
from services.archive.ports import Blinded, ContentIndex, MonthKeys, Opened, Proof, Tokens
from services.archive.results import Results
from services.archive.reveal import Reveal
from services.common.audit_client import Receipt
from services.common.control_store import Document
from services.common.directory import Directory, Person, Tenant
from services.common.errors import Corrupt, Denied
from services.common.grants import Approval, Grant, Request, Scope
from services.common.ids import MailId, TenantId
from services.common.search import terms
from services.common.search.blind import Blinder, document_id, month_key, month_of
from services.common.search.query import leaves
from services.common.testing.audit import InMemoryAuditLog
from services.common.testing.extraction import InProcessExtractor
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import merkle

AUDITOR, APPROVER = "aud@acme.example", "appr@acme.example"


class FakeControl:
    """Grants and a directory."""

    def __init__(self) -> None:
        self.grants: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.tenants: dict[TenantId, Tenant] = {}
        self.people: dict[str, Person] = {}

    @property
    def directory(self) -> Directory:
        """See `granted.Documents`."""
        return Directory(tenants=self.tenants, people=self.people)

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """See `granted.Documents`."""
        value = self.grants.get((tenant, key)) if kind == "grant" else None
        return None if value is None else Document(tenant, kind, key, 1, value, datetime.now(UTC), "")

    async def list(self, tenant: TenantId, kind: str) -> Sequence[Document]:
        """See `granted.Documents`."""
        return []


class FakeCustody:
    """Keys, used against receipts of `InMemoryAuditLog`: what is checked here, `encryption` checks with proofs."""

    def __init__(self, control: FakeControl, mails: dict[tuple[str, str], tuple[mail_pb2.Trace, bytes]]) -> None:
        self._control, self._mails = control, mails
        self._used: set[int] = set()
        self.asked: list[str] = []

    def keys(self, tenant: TenantId, month: str) -> MonthKeys:
        """Of a tenant's month."""
        root = hashlib.sha256(f"root of {tenant}".encode()).digest()
        key = month_key(root, tenant, month)
        return MonthKeys(key, hmac.digest(key, b"summary", "sha256"))

    async def index_keys(self, tenant: TenantId, months: Sequence[str]) -> Mapping[str, MonthKeys]:
        """See `ports.IndexKeys`."""
        return {month: self.keys(tenant, month) for month in months}

    async def blind(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, months: Sequence[str]
    ) -> Mapping[str, Blinded]:
        """See `ports.Custody`."""
        self._check(tenant, receipt, grant_id, "archive.searched", "intent")
        request = self._grant(tenant, grant_id)["request"]
        scope = Scope(tuple(request["scope"]["domains"]), tuple(request["scope"]["people"]),
                      tuple(request["scope"]["excluded"]))  # fmt: skip
        node = terms.effective(request["query"], scope)
        found: dict[str, Blinded] = {}
        for month in months:
            blinder = Blinder(self.keys(tenant, month).month)
            found[month] = [
                [Tokens(one.field, tuple(blinder.tokens(one.field, one.terms))) for one in terms.lookups(leaf)]
                for leaf in leaves(node)
            ]
        return found

    async def open_summaries(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, leaves: Sequence[str], summaries: Sequence[str]
    ) -> Sequence[Mapping[str, Any]]:
        """See `ports.Custody`."""
        entry = self._check(tenant, receipt, grant_id, "archive.searched", "result")
        if Commitment(leaves).root != entry["facts"]["root"]:
            raise Denied("another result", public="the result is not the one in the log")
        opened: list[Mapping[str, Any]] = []
        months = {month_of(MailId(m).day) for t, m in self._mails if t == tenant}
        for one, sealed in zip(leaves, summaries, strict=True):
            found: Mapping[str, Any] = {}
            for month in months:
                try:
                    found = open_summary(self.keys(tenant, month).summary, one, sealed)
                except Corrupt:
                    continue
            opened.append(found)
        return opened

    async def open(
        self, tenant: TenantId, receipt: Receipt, grant_id: str, mail_id: MailId, proof: Proof
    ) -> AsyncGenerator[bytes | Opened]:
        """See `ports.Custody`."""
        entry = orjson.loads(receipt.entry)
        self._check(tenant, receipt, grant_id, entry["action"], "")
        result = orjson.loads(proof.result.entry)
        own = document_id(self.keys(tenant, month_of(mail_id.day)).month, mail_id)
        root = merkle.root_from_inclusion(proof.index, proof.size, merkle.leaf_hash(own.encode()), proof.path)
        if entry["mail_ids"] != [mail_id] or root.hex() != result["facts"]["root"]:
            raise Denied("not in the result", public="this mail is not in the result")
        trace, raw = self._mails[tenant, mail_id]
        for start in range(0, len(raw), 1000):
            yield raw[start : start + 1000]
        envelope = trace.envelope
        yield Opened(len(raw), hashlib.sha256(raw).digest(), envelope.sender,
                     tuple(r.address for r in envelope.recipients), 0)  # fmt: skip

    def _grant(self, tenant: TenantId, grant_id: str) -> Mapping[str, Any]:
        return self._control.grants[tenant, grant_id]

    def _check(self, tenant: TenantId, receipt: Receipt, grant_id: str, action: str, phase: str) -> Mapping[str, Any]:
        entry: dict[str, Any] = orjson.loads(receipt.entry)
        grant = self._grant(tenant, grant_id)
        ok = (
            entry["tenant"] == tenant
            and entry["action"] == action
            and entry["facts"].get("phase", "") == phase
            and entry["grant_id"] == grant_id
            and entry["actor"] == grant["request"]["requester"]
            and entry["facts"]["request_hash"] == grant["request_hash"]
        )
        if not ok or receipt.index in self._used:
            raise Denied("the receipt is not for this")
        self._used.add(receipt.index)
        self.asked.append(f"{action}:{phase}")
        return entry


class Library:
    """Mails of tenants, indexed into `index`, and the way to search them."""

    def __init__(self, index: ContentIndex, *, looks: int = 0, most: int = 100_000) -> None:
        self.mails: dict[tuple[str, str], tuple[mail_pb2.Trace, bytes]] = {}
        self.control, self.audit, self.objects = FakeControl(), InMemoryAuditLog(), InMemoryObjects()
        self.custody = FakeCustody(self.control, self.mails)
        self.keys, self.index = FakeKeys(), index
        self.segments = BlindSegments(self.objects)
        self.feed = ContentFeed(index, self.segments, self._tenants, window=timedelta(0))
        self.indexer = ContentIndexer(
            self.custody, self.segments, InProcessExtractor(), self.feed.submit, window=timedelta(0), threads=2
        )
        self.results = Results(self.objects, self.keys.public, self.keys.identities)
        self.reveal = Reveal(
            Granted(self.control), self.audit, self.custody, index, Manifest(self.objects), self.results,
            most_results=most, looks=looks, exports=0,
        )  # fmt: skip

    async def _tenants(self) -> AsyncIterator[TenantId]:
        for tenant in self.control.tenants:
            yield tenant

    def tenant(self, name: str = "acme") -> TenantId:
        """A tenant with an auditor and an approver."""
        tenant = TenantId.new()
        self.control.tenants[tenant] = Tenant(id=tenant, name=name)
        for address, role in ((AUDITOR, "auditor"), (APPROVER, "approver")):
            self.control.people[f"{tenant}/{address}"] = Person(address=address, tenant=tenant, roles=frozenset({role}))
        return tenant

    async def keep(self, trace: mail_pb2.Trace, raw: bytes) -> MailId:
        """Store and index a mail; it is found when `ready` has returned."""
        tenant, mail_id = TenantId(trace.envelope.tenant), MailId(trace.envelope.mail_id)
        trace.envelope.size = len(raw)
        self.mails[tenant, mail_id] = trace, raw
        await self.objects.create(f"{tenant}/mail/{mail_id.day:%Y/%m/%d}/{mail_id}", b"sealed")

        async def content() -> bytes:
            return raw

        await self.indexer.add(trace, content)
        return mail_id

    async def ready(self) -> None:
        """All that was kept can be found."""
        await self.feed.catch_up()

    def grant(
        self,
        tenant: TenantId,
        query: str,
        *capabilities: str,
        actor: str = AUDITOR,
        scope: Scope | None = None,
        seconds: int = 3600,
        granted_at: datetime | None = None,
        approvals: int = 1,
    ) -> str:
        """An approved grant's id."""
        granted_at = granted_at or datetime.now(UTC)
        request = Request(
            str(MailId.new()), tenant, "case-1", actor, "because", query, frozenset(capabilities or ("search", "open")),
            seconds, granted_at - timedelta(minutes=5), scope or Scope(),
        )  # fmt: skip
        given = Approval(request.id, request.hash(), APPROVER, granted_at - timedelta(minutes=1))
        grant = Grant(str(MailId.new()), request, (given,) * approvals, 1, granted_at)
        self.control.grants[tenant, grant.id] = grant.plain()
        return grant.id

    def tamper(self, tenant: TenantId, grant_id: str, query: str) -> None:
        """Change an approved grant's query, hash and all, but for its approvals."""
        from services.common.grants import read_grant

        grant = read_grant(self.control.grants[tenant, grant_id])
        changed = replace(grant, request=replace(grant.request, query=query))
        self.control.grants[tenant, grant_id] = changed.plain()

    async def found(self, tenant: TenantId, query: str, *, scope: Scope | None = None) -> set[str]:
        """Ids of the mails that a question finds, through the whole way."""
        grant = self.grant(tenant, query, scope=scope)
        answer = await self.reveal.search(tenant, AUDITOR, grant)
        return {str(s["mail_id"]) for s in answer.summaries}
