"""What shadow rules would have done: counted by every process, kept over restarts, counts only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.common.testing.objects import InMemoryObjects
from services.policy import shadow
from services.policy.adapters import wire
from services.policy.core.counts import Row
from services.policy.core.mime import read
from services.policy.core.rules import Policy
from services.policy.shadow import ShadowTally
from tests.unit.policy.builders import mail, matches, rules, transaction, verdict

TENANT, OTHER = TenantId.new(), TenantId.new()
SHADOWS = rules(
    "mode: shadow, direction: outbound, when: {subject: {contains: hi}}, then: [{notify: {to: sender}}, {hold: {}}]",
    "mode: shadow, direction: outbound, when: {subject: {contains: nothing}}, then: {delete: {}}",
    "mode: 'canary: 1%', then: {seal: {}}",
    "mode: shadow, when: {verdict: {malware: true}}, then: {refuse: {}}",
    "mode: shadow, direction: inbound, then: {refuse: {}}",
    "when: {subject: {contains: hi}}, then: {banner: {text: x}}",
)


class Clock:
    """A day that can be changed."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Now."""
        return self.now


def group_of(tenant: TenantId, sender: str) -> str:
    """Alice is in a group."""
    return "legal" if sender == "alice@acme.example" else sender.rpartition("@")[2]


def tally(objects: InMemoryObjects, clock: Clock | None = None) -> ShadowTally:
    """As a new process begins."""
    return ShadowTally(objects, group_of, now=clock or Clock())


def count(
    into: ShadowTally, tenant: TenantId = TENANT, *, sender: str = "alice@acme.example", of: Policy = SHADOWS
) -> None:
    """Decide one outbound mail, and count it."""
    by = transaction(sender=sender)
    envelope = mail_pb2.Envelope(tenant=tenant, mail_id=MailId.new(), sender=sender)
    envelope.recipients.add(address="bob@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    found = matches(of, mail(), by)
    decision = wire.decision(envelope, verdict(of, mail(), by), found, read(mail()), revision=1, now=datetime.now(UTC))
    into.count(tenant, of, envelope, decision)


async def test_what_would_have_been_done_is_counted_by_rule_day_and_group() -> None:
    """The strongest outcome of each rule that matched; every mail it was asked about; faults apart."""
    counting = tally(InMemoryObjects())
    count(counting)
    count(counting)
    count(counting, sender="carol@acme.example")
    counts = await counting.report(TENANT, days=1)
    day = "2026-11-24"
    assert {row: n for (d, row), n in counts.items() if d == day} == {
        Row("r1", "shadow", "outbound", "", "asked"): 3,
        Row("r1", "shadow", "outbound", "legal", "hold"): 2,
        Row("r1", "shadow", "outbound", "acme.example", "hold"): 1,
        Row("r2", "shadow", "outbound", "", "asked"): 3,
        Row("r3", "canary", "outbound", "", "asked"): 3,
        Row("r3", "canary", "outbound", "legal", "seal"): 2,
        Row("r3", "canary", "outbound", "acme.example", "seal"): 1,
        Row("r4", "shadow", "outbound", "", "asked"): 3,
        Row("r4", "shadow", "outbound", "legal", "error"): 2,
        Row("r4", "shadow", "outbound", "acme.example", "error"): 1,
    }


async def test_counts_of_every_process_and_every_start_add_up_and_none_counts_twice() -> None:
    """A repeated flush replaces; a process that begins again has its own object."""
    objects = InMemoryObjects()
    first, second = tally(objects), tally(objects)
    count(first)
    await first.flush()
    await first.flush()
    count(second)
    await second.flush()
    count(first)
    counts = await first.report(TENANT, days=1)
    again = await tally(objects).report(TENANT, days=1)
    row = ("2026-11-24", Row("r1", "shadow", "outbound", "legal", "hold"))
    assert (counts[row], again[row]) == (3, 3)


async def test_days_are_apart_and_tenants_too() -> None:
    """Only as many days as asked, only the tenant that asks."""
    clock = Clock()
    counting = tally(InMemoryObjects(), clock)
    count(counting)
    clock.now += timedelta(days=2)
    count(counting)
    count(counting, OTHER)
    assert {d for d, _ in await counting.report(TENANT, days=2)} == {"2026-11-26"}
    assert {d for d, _ in await counting.report(TENANT, days=3)} == {"2026-11-24", "2026-11-26"}
    assert await counting.report(TenantId.new(), days=3) == {}


async def test_what_cannot_be_kept_now_is_kept_next_time() -> None:
    """The store is away for a while."""

    class Away(InMemoryObjects):
        away = True

        async def put(self, key: str, data: bytes) -> None:
            if self.away:
                raise Unavailable("away")
            await super().put(key, data)

    objects = Away()
    counting = tally(objects)
    count(counting)
    await counting.flush()
    objects.away = False
    await counting.flush()
    assert (await tally(objects).report(TENANT, days=1)).total() > 0


async def test_no_address_is_kept_and_strangers_cannot_fill_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains beyond the bound are `other`."""
    monkeypatch.setattr(shadow, "_MAX_ROWS", 8)
    objects = InMemoryObjects()
    counting = tally(objects)
    for n in range(20):
        count(counting, sender=f"someone{n}@host{n}.example")
    counts = await counting.report(TENANT, days=1)
    assert counts["2026-11-24", Row("r1", "shadow", "outbound", "other", "hold")] > 0
    assert len(counts) < 16
    kept = b"".join([await objects.get(m.key) async for m in objects.list(f"{TENANT}/shadow/")])
    assert b"someone" not in kept
    assert b"@" not in kept


async def test_mail_without_shadow_rules_costs_nothing() -> None:
    """Nothing is written."""
    objects = InMemoryObjects()
    counting = tally(objects)
    count(counting, of=rules("then: {hold: {}}"))
    await counting.flush()
    assert [m async for m in objects.list("")] == []
