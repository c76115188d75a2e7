"""Nothing is blinded for a receipt that does not prove it: each attack fails by its name, and leaves an entry."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.store import StoredLogs
from services.audit.append import Logs
from services.common.audit_client import Receipt
from services.common.audit_entries import AuditEntry
from services.common.control_store import Document
from services.common.directory import Directory, Person, Tenant
from services.common.errors import Denied, NotFound
from services.common.grants import Approval, Grant, Request
from services.common.ids import MailId, TenantId
from services.common.testing.audit import InMemoryAuditLog
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.common.tlog import merkle
from services.encryption.adapters.grants import Grants
from services.encryption.adapters.pins import Pins, Used
from services.encryption.custody import Custody

ACME, GLOBEX = TenantId.new(now=1), TenantId.new(now=2)
AUD, APPR, EVE = "aud@acme.example", "appr@acme.example", "eve@acme.example"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
ANY: Any = None


class World:
    """A real log, grants in a fake control, and custody over them; `log` may be swapped for a fork."""

    def __init__(self) -> None:
        self.now, self.documents = NOW, dict[str, Document]()
        self.keys, self.objects, self.refusals = FakeKeys(), InMemoryObjects(), InMemoryAuditLog()
        self.logs = self.log()
        auditor, approver = frozenset({"auditor"}), frozenset({"approver"})
        people = [Person(AUD, ACME, auditor), Person(EVE, ACME, auditor), Person(APPR, ACME, approver)]
        self.directory = Directory(tenants={ACME: Tenant(ACME, "acme")}, people={p.address: p for p in people})
        self.custody = self.started()

    def started(self) -> Custody:
        """Custody as it is after a start."""
        return Custody(
            Grants(self), self.refusals, lambda: self.keys.signer("audit").public, Pins(self.objects, self),
            Used(self.objects), self, ANY, looks=0, exports=0, clock=lambda: self.now.timestamp(),
        )  # fmt: skip

    def log(self) -> Logs:
        """A log of its own, under the key of the audit service."""
        objects, signer = InMemoryObjects(), self.keys.signer("audit")
        keys = StoredLogKeys(objects, self.keys.public, self.keys.identities)
        self.rows = StoredLogs(objects)
        return Logs(self.rows, keys, "audit.test", signer.public, signer.sign)

    async def get(self, tenant: TenantId, kind: str, key: str, revision: int = 0) -> Document | None:
        """See `Documents`."""
        found = self.documents.get(key)
        return found if found is not None and (found.tenant, found.kind) == (tenant, kind) else None

    async def list(self, tenant: TenantId, kind: str) -> list[Document]:
        """See `Documents`."""
        return []

    async def index_root(self, tenant: TenantId) -> bytes:
        """See `Roots`."""
        return b"r" * 32

    async def consistency(self, tenant: TenantId, first: int, second: int) -> tuple[bytes, ...]:
        """See `Consistency`: whatever log there is now says why it grew."""
        leaves = [merkle.leaf_hash(row.leaf) async for _, rows in self.rows.batches(tenant, 0) for row in rows]
        if len(leaves) < second:
            raise NotFound("the log has fewer entries")

        def node(level: int, index: int) -> bytes:
            return merkle.root_of(leaves[index << level : (index + 1) << level])

        return merkle.consistency_proof(first, second, node)

    def keep(self, grant: Grant) -> Grant:
        """Store a grant."""
        self.documents[grant.id] = Document(ACME, "grant", grant.id, 1, grant.plain(), NOW, APPR)
        return grant

    def grant(self, *, approver: str = APPR, capability: str = "search", one_time: bool = False) -> Grant:
        """A grant of AUD, in force."""
        made = NOW - timedelta(minutes=10)
        request = Request(
            str(MailId.new()), ACME, "case-1", AUD, "why", "secret after:2026-10-01", frozenset({capability}), 3600,
            made, one_time=one_time,
        )  # fmt: skip
        approval = Approval(request.id, request.hash(), approver, made + timedelta(minutes=1))
        return self.keep(Grant(str(MailId.new()), request, (approval,), 1, made + timedelta(minutes=2)))

    def entry(self, grant: Grant, **more: Any) -> AuditEntry:
        """The INTENT of a search."""
        facts = {"phase": "intent", "request_id": grant.request.id, "request_hash": grant.request.hash()}
        fields = {"case_id": "case-1", "grant_id": grant.id, "facts": facts, "at": self.now, **more}
        return AuditEntry(ACME, "archive.searched", AUD, {}, **fields)

    async def told(self, entry: AuditEntry, service: str = "archive") -> Receipt:
        """The receipt of an entry in the log."""
        return await self.logs.append(entry.dump(), entry, service)

    async def blind(self, grant: Grant, receipt: Receipt, tenant: TenantId = ACME) -> Any:
        """What custody answers."""
        return await self.custody.blind(tenant, receipt, grant.id, ["2026-10", "2026-11"])

    async def refused(self, grant: Grant, receipt: Receipt, reason: str, tenant: TenantId = ACME) -> None:
        """It is refused for this reason, and the refusal has an entry."""
        before = len(self.refusals.entries)
        with pytest.raises(Denied) as caught:
            await self.blind(grant, receipt, tenant)
        assert caught.value.fields["reason"] == reason
        assert [e.detail["reason"] for e in self.refusals.entries[before:]] == [reason]


@pytest.fixture
def world() -> World:
    """A new one."""
    return World()


async def test_a_good_receipt_blinds_once(world: World) -> None:
    """By month, no word in it; the same receipt again is refused, after a restart too."""
    grant = world.grant()
    receipt = await world.told(world.entry(grant))
    answer = await world.blind(grant, receipt)
    assert set(answer) == {"2026-10", "2026-11"}
    assert answer["2026-10"] != answer["2026-11"]
    assert "secret" not in repr(answer)
    await world.refused(grant, receipt, "replayed")
    world.custody = world.started()
    await world.refused(grant, receipt, "replayed")


async def test_forged_receipts(world: World) -> None:
    """A changed leaf, index, path, signature or value, and another tenant's receipt."""
    grant = world.grant()
    await world.told(world.entry(grant))
    good = await world.told(world.entry(grant, at=NOW - timedelta(seconds=1)))
    await world.refused(grant, replace(good, entry=good.entry.replace(b"archive", b"arcHive", 1)), "forged")
    await world.refused(grant, replace(good, index=0), "forged")
    await world.refused(grant, replace(good, proof=()), "forged")
    await world.refused(grant, replace(good, opening=good.opening.replace(b"aud@", b"eve@")), "forged")
    signature = good.checkpoint.rstrip()[-8:]
    await world.refused(grant, replace(good, checkpoint=good.checkpoint.replace(signature, b"AAAAAAA=")), "forged")
    await world.refused(grant, good, "another_log", GLOBEX)
    await world.blind(grant, good)


async def test_a_fork_is_refused_and_an_older_tree_of_the_same_log_is_not(world: World) -> None:
    """Also after a restart: what was seen is pinned durably."""
    grant = world.grant()
    older = await world.told(world.entry(grant))
    newer = await world.told(world.entry(grant, at=NOW - timedelta(seconds=1)))
    await world.blind(grant, newer)
    await world.blind(grant, older)
    world.logs, world.custody = world.log(), world.started()
    forked = await world.told(world.entry(grant, at=NOW - timedelta(seconds=2)))
    await world.refused(grant, forked, "fork")
    await world.told(world.entry(grant, at=NOW - timedelta(seconds=3)))
    await world.refused(grant, await world.told(world.entry(grant, at=NOW - timedelta(seconds=4))), "fork")


@pytest.mark.parametrize(
    ("more", "service", "reason"),
    [
        ({"at": NOW - timedelta(seconds=61)}, "archive", "too_old"),
        ({"at": NOW + timedelta(seconds=30)}, "archive", "not_yet"),
        ({"late": True}, "archive", "late"),
        ({"outcome": "denied"}, "archive", "not_done"),
        ({"grant_id": "another"}, "archive", "another_grant"),
        ({"facts": {"phase": "result"}}, "archive", "another_action"),
        ({"mail_ids": (MailId.new(),)}, "archive", "another_mail"),
        ({}, "quarantine", "another_writer"),
    ],
)
async def test_an_honest_entry_of_something_else(world: World, more: Any, service: str, reason: str) -> None:
    """It is in the log, and says not quite what is asked."""
    grant = world.grant()
    await world.refused(grant, await world.told(world.entry(grant, **more), service), reason)


async def test_grants_that_do_not_allow_it(world: World) -> None:
    """None, expired, revoked, without the capability, approved by its requester, another person's, or changed."""
    grant = world.grant()
    unknown = replace(grant, id="nothing")
    await world.refused(unknown, await world.told(world.entry(unknown)), "no_grant")
    revoked = world.keep(replace(grant, id="revoked").revoked(at=NOW, by=APPR))
    await world.refused(revoked, await world.told(world.entry(revoked)), "revoked")
    opens = world.grant(capability="open")
    await world.refused(opens, await world.told(world.entry(opens)), "capability")
    own = world.grant(approver=AUD)
    await world.refused(own, await world.told(world.entry(own)), "approvals")
    other = replace(world.entry(grant), actor=EVE)
    await world.refused(grant, await world.told(other), "another_person")
    receipt = await world.told(world.entry(grant))
    changed = world.keep(replace(grant, request=replace(grant.request, query="everything")))
    await world.refused(changed, receipt, "query_changed")
    await world.refused(changed, await world.told(world.entry(changed)), "approvals")
    world.keep(grant)
    world.now = NOW + timedelta(hours=2)
    await world.refused(grant, await world.told(world.entry(grant)), "expired")


async def test_a_one_time_grant_and_months_beyond_the_question(world: World) -> None:
    """One search only; and no month that the approved question does not reach."""
    grant = world.grant(one_time=True)
    with pytest.raises(Denied, match="out_of_reach"):
        await world.custody.blind(ACME, await world.told(world.entry(grant)), grant.id, ["2026-08"])
    await world.blind(grant, await world.told(world.entry(grant, at=NOW - timedelta(seconds=1))))
    await world.refused(grant, await world.told(world.entry(grant, at=NOW - timedelta(seconds=2))), "used_up")
