"""Cases, requests, approvals and grants: who may, in which order, and what the audit log hears first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.admin.access import Access, Asked
from services.admin.consent import Consent, enrolment_bytes
from services.admin.edit import Editor
from services.admin.world import ApplyWorld
from services.audit.verifier.letterlock_verify import Accesses
from services.common import auth, grants
from services.common.audit_entries import AuditTrail
from services.common.auth import Principal
from services.common.control import Control
from services.common.errors import Denied, InvalidInput, NotFound, Rejected, Unavailable
from services.common.grants import Scope
from services.common.ids import TenantId
from services.common.testing.audit import InMemoryAuditLog
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from tests.unit.admin.test_world import InMemoryPolicies

WORLD = """
operators: [{name: ops, api_key: op-0123456789abcdef}]
tenants:
  - name: acme
    domains: [acme.example]
    archive: {approvals: 1}
    people:
      - {address: admin@acme.example, roles: [tenant_admin], api_key: admin-0123456789abcdef}
      - {address: aud@acme.example, roles: [auditor], api_key: aud-0123456789abcdef}
      - {address: appr@acme.example, roles: [approver], api_key: appr-0123456789abcdef}
      - {address: appr2@acme.example, roles: [approver], api_key: appr2-0123456789abcdef}
      - {address: dpo@acme.example, roles: [data_protection_officer], api_key: dpo-0123456789abcdef}
"""
AUD, APPR, APPR2, ADMIN, DPO = (f"{n}@acme.example" for n in ("aud", "appr", "appr2", "admin", "dpo"))


class Place:
    """A directory with its verbs, a log that can be switched off, and a clock."""

    def __init__(self, control: Control, trail: AuditTrail) -> None:
        self.control, self.audit, self.at = control, InMemoryAuditLog(), datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
        lock = asyncio.Lock()
        self.access = Access(control, self.audit, lock, now=lambda: self.at)
        self.consent = Consent(control, self.audit, lock, now=lambda: self.at)
        self.editor = Editor(control, trail, lock)
        self.world = ApplyWorld(control, InMemoryPolicies(), trail, lock)

    @property
    def tenant(self) -> TenantId:
        """acme."""
        known = self.control.directory.tenant_named("acme")
        assert known is not None
        return known.id

    def principal(self, token: str) -> Principal | None:
        """Whose token it is."""
        return auth.principal_for(self.control.directory, token)

    async def case(self) -> str:
        """A new one."""
        return (await self.access.create_case(self.tenant, "leak of October", actor=AUD, request_id="")).key

    async def request(self, case: str = "", **changed: Any) -> Asked:
        """A request of the auditor's."""
        given: dict[str, Any] = {
            "actor": AUD, "purpose": "who leaked it", "query": "機密 from:x@acme.example", "seconds": 3600,
            "capabilities": frozenset({"search", "open"}), "scope": Scope(), "one_time": False, "request_id": "",
        }  # fmt: skip
        return await self.access.request(self.tenant, case or await self.case(), **given | changed)

    async def approve(self, asked: Asked, actor: str = APPR, digest: str = "", signature: bytes = b"") -> Asked:
        """Say yes."""
        return await self.access.approve(
            self.tenant, asked.request.id, actor=actor, request_hash=digest, signature=signature
        )

    async def approvals(self, number: int) -> None:
        """What the tenant demands."""
        await self.editor.update(self.tenant, "tenant", "self", {"approvals": number}, revision=0, actor="ops")


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """acme with an auditor, two approvers and an officer."""
    bus = InMemoryBus("admin", InMemoryBroker())
    control = Control(InMemoryObjects(), bus, node="admin", debounce=0.001)
    trail = AuditTrail(bus, FakeKeys().fact_keys(bus.bucket("factkeys")))
    async with control.running(), trail.running():
        found = Place(control, trail)
        await found.world(WORLD, dry_run=False, actor="ops")
        yield found


def told(place: Place) -> list[tuple[str, str, str]]:
    """Action, actor and outcome of each entry."""
    return [(e.action, e.actor, e.outcome) for e in place.audit.entries]


async def test_a_grant_follows_the_approval_of_another(place: Place) -> None:
    """Case, request, grant; each in the log in its order; the grant is what `grants.check` takes."""
    asked = await place.request()
    assert (asked.state, len(asked.approvals), asked.needed) == ("pending", 0, 1)
    granted = await place.approve(asked)
    assert granted.state == "granted"
    grant = await place.access.grant(place.tenant, granted.grant_id)
    assert grant.expires_at - grant.granted_at == timedelta(hours=1)
    grants.check(
        grant, tenant=place.tenant, actor=AUD, capability="search", at=place.at, keys={}, approvers={APPR}, needed=1
    )
    assert told(place) == [
        ("case.created", AUD, "done"), ("access.requested", AUD, "done"), ("access.approved", APPR, "done"),
    ]  # fmt: skip
    requested, approved = place.audit.entries[1:]
    assert requested.facts["request_hash"] == approved.facts["request_hash"] == asked.request.hash()
    assert requested.facts["capabilities"] == ["open", "search"]
    assert (approved.grant_id, approved.facts["expires"]) == (grant.id, "2026-11-24T10:00:00.000000Z")


async def test_nobody_approves_their_own_request(place: Place) -> None:
    """Refused, and that is in the log as denied."""
    asked = await place.request()
    with pytest.raises(Denied):
        await place.approve(asked, AUD)
    assert told(place)[-1] == ("access.approved", AUD, "denied")
    assert (await place.access.asked(place.tenant, asked.request.id)).state == "pending"


async def test_k_of_n_counts_each_approver_once(place: Place) -> None:
    """Two are needed: one who says yes twice is one, also in the log."""
    await place.approvals(2)
    asked = await place.request()
    assert (await place.approve(asked)).state == "pending"
    assert (await place.approve(asked)).state == "pending"
    assert (await place.approve(asked, APPR2)).state == "granted"
    assert [a for a, *_ in told(place)].count("access.approved") == 2


async def test_an_approval_that_died_after_its_entry_is_told_once(place: Place, monkeypatch: Any) -> None:
    """The log has the entry, the store not yet the approval: trying again tells the same bytes, so it is one entry."""
    asked = await place.request()
    put = place.control.put

    async def dies(tenant: TenantId, kind: str, key: str, value: Any, **more: Any) -> int:
        if kind == "access-approval":
            raise Unavailable("killed")
        return await put(tenant, kind, key, value, **more)

    monkeypatch.setattr(place.control, "put", dies)
    with pytest.raises(Unavailable):
        await place.approve(asked)
    monkeypatch.undo()
    place.at += timedelta(minutes=5)
    assert (await place.approve(asked)).state == "granted"
    first, again = (e for e in place.audit.entries if e.action == "access.approved")
    assert first.dump() == again.dump()


async def test_without_the_log_nothing_happens(place: Place) -> None:
    """Each act fails closed."""
    asked = await place.request()
    place.audit.unavailable = True
    for act in (place.case(), place.approve(asked), place.request(asked.request.case_id)):
        with pytest.raises(Unavailable):
            await act
    with pytest.raises(Unavailable):
        await place.access.refuse(place.tenant, asked.request.id, actor=APPR, reason="")
    place.audit.unavailable = False
    assert [a.state for a in await place.access.requests(place.tenant)] == ["pending"]


@pytest.mark.parametrize("query", ["", "from:", "secr*t", "(a", "colour:red"])
async def test_a_question_that_cannot_be_meant_is_refused_at_once(place: Place, query: str) -> None:
    """Before anybody is asked to approve it."""
    with pytest.raises(InvalidInput):
        await place.request(query=query)
    assert await place.access.requests(place.tenant) == []


@pytest.mark.parametrize("changed", [{"purpose": "  "}, {"seconds": 0}, {"seconds": 91 * 86400}])
async def test_purpose_and_time_are_bounded(place: Place, changed: dict[str, Any]) -> None:
    """No purpose, no time, or more than 90 days."""
    with pytest.raises(InvalidInput):
        await place.request(**changed)


async def test_a_request_dies_after_a_day(place: Place) -> None:
    """Nobody can approve it then."""
    asked = await place.request()
    place.at += timedelta(hours=24, seconds=1)
    assert (await place.access.asked(place.tenant, asked.request.id)).state == "dead"
    with pytest.raises(Rejected):
        await place.approve(asked)


async def test_a_refused_request_stays_refused(place: Place) -> None:
    """One no is enough, said twice it is one."""
    asked = await place.request()
    for _ in range(2):
        refused = await place.access.refuse(place.tenant, asked.request.id, actor=APPR, reason="too wide")
        assert refused.state == "refused"
    with pytest.raises(Rejected):
        await place.approve(asked, APPR2)
    assert [a for a, *_ in told(place)].count("access.refused") == 1


async def test_a_grant_is_revoked_by_its_requester_or_who_watches(place: Place) -> None:
    """Another auditor finds nothing; revoked it is worth nothing."""
    granted = await place.approve(await place.request())
    with pytest.raises(NotFound):
        await place.access.revoke(place.tenant, granted.grant_id, actor="other@acme.example", anybodys=False, reason="")
    await place.access.revoke(place.tenant, granted.grant_id, actor=AUD, anybodys=False, reason="done")
    grant = await place.access.grant(place.tenant, granted.grant_id)
    with pytest.raises(Denied):
        grants.check(
            grant, tenant=place.tenant, actor=AUD, capability="open", at=place.at, keys={}, approvers={APPR}, needed=1
        )


async def test_closing_a_case_ends_what_hangs_on_it(place: Place) -> None:
    """Grants are revoked, waiting requests cannot be approved, new ones not made."""
    case = await place.case()
    granted = await place.approve(await place.request(case))
    waiting = await place.request(case)
    for _ in range(2):
        closed = await place.access.close_case(place.tenant, case, actor=DPO)
        assert closed.value is not None
        assert closed.value["state"] == "closed"
    assert (await place.access.grant(place.tenant, granted.grant_id)).revoked_at is not None
    with pytest.raises(Rejected):
        await place.approve(waiting)
    with pytest.raises(Rejected):
        await place.request(case)
    assert [a for a, *_ in told(place)].count("access.revoked") == 1


async def test_what_is_another_tenant_s_does_not_exist(place: Place) -> None:
    """Its case, request and grant."""
    granted = await place.approve(await place.request())
    other = TenantId.new()
    for act in (
        place.access.case(other, granted.request.case_id),
        place.access.asked(other, granted.request.id),
        place.access.grant(other, granted.grant_id),
        place.access.approve(other, granted.request.id, actor=APPR, request_hash="", signature=b""),
    ):
        with pytest.raises(NotFound):
            await act


async def _enrolled(place: Place, address: str = APPR) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    code = (await place.consent.issue(place.tenant, address, actor=DPO)).text
    await place.consent.enrol(
        Principal("person", place.tenant, address), address, code,
        signing_key=key.public_key().public_bytes_raw(), proof=key.sign(enrolment_bytes(address, code)),
        token_sha256="",
    )  # fmt: skip
    return key


async def test_who_has_a_signing_key_must_sign_what_was_asked(place: Place) -> None:
    """No signature, another's, or one over another text: denied. The right one is kept with the grant."""
    key = await _enrolled(place)
    asked = await place.request()
    digest = asked.request.hash()
    other = Ed25519PrivateKey.generate()
    for signature in (b"", other.sign(grants.signed_bytes(digest)), key.sign(grants.signed_bytes("00" * 32))):
        with pytest.raises(Denied):
            await place.approve(asked, digest=digest, signature=signature)
    with pytest.raises(Denied):
        await place.approve(asked, digest="00" * 32, signature=key.sign(grants.signed_bytes("00" * 32)))
    granted = await place.approve(asked, digest=digest, signature=key.sign(grants.signed_bytes(digest)))
    grant = await place.access.grant(place.tenant, granted.grant_id)
    assert grants.signature_is_good(grant.approvals[0], key.public_key().public_bytes_raw())


async def test_a_code_of_an_officer_is_worth_nothing_without_the_person(place: Place) -> None:
    """Else the officer could become whoever they like; used once it is spent."""
    code = (await place.consent.issue(place.tenant, APPR, actor=DPO)).text
    key = Ed25519PrivateKey.generate()
    given = {
        "signing_key": key.public_key().public_bytes_raw(),
        "proof": key.sign(enrolment_bytes(APPR, code)),
        "token_sha256": "",
    }
    owner = Principal("person", place.tenant, APPR)
    for caller in (auth.ANONYMOUS, Principal("person", place.tenant, DPO)):
        with pytest.raises(Denied):
            await place.consent.enrol(caller, APPR, code, **given)  # type: ignore[arg-type]
    with pytest.raises(Denied):
        await place.consent.enrol(owner, APPR, code, **given | {"token_sha256": "ab" * 32})  # type: ignore[arg-type]
    await place.consent.enrol(owner, APPR, code, **given)  # type: ignore[arg-type]
    await place.consent.enrol(owner, APPR, code, **given)  # type: ignore[arg-type]
    other = Ed25519PrivateKey.generate()
    again = given | {
        "signing_key": other.public_key().public_bytes_raw(), "proof": other.sign(enrolment_bytes(APPR, code)),
    }  # fmt: skip
    with pytest.raises(Denied):
        await place.consent.enrol(owner, APPR, code, **again)  # type: ignore[arg-type]


async def test_the_off_line_verifier_takes_what_is_told(place: Place) -> None:
    """Two approvals, a search inside and one after the revocation: only the last is found at fault."""
    await place.approvals(2)
    asked = await place.request()
    await place.approve(asked)
    granted = await place.approve(asked, APPR2)
    await place.access.revoke(place.tenant, granted.grant_id, actor=DPO, anybodys=True, reason="enough")
    verifier = Accesses()

    def leaf(entry: Any) -> dict[str, Any]:
        return {
            "facts": dict(entry.facts), "action": entry.action, "grant_id": entry.grant_id, "outcome": entry.outcome,
            "who": entry.actor, "time": entry.at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }  # fmt: skip

    search = {
        "facts": {"request_hash": asked.request.hash()}, "action": "archive.searched", "grant_id": granted.grant_id,
        "outcome": "done", "who": AUD, "time": "2026-11-24T09:30:00.000000Z",
    }  # fmt: skip
    *before, last = [leaf(e) for e in place.audit.entries]
    assert [verifier.see(e) for e in before] == [""] * len(before)
    assert verifier.see(search) == ""
    assert verifier.see(last) == ""
    assert "revoked" in verifier.see(search)
