"""Policy on the bus: it answers, says busy, decides latecomers once, and keeps tenants apart."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.errors import Busy, Unavailable
from services.common.facts import DECIDE, Facts
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.common.sealing import mailobject
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.policy.config import PolicyConfig
from services.policy.core.extract import Limits
from services.policy.core.message import Direction
from services.policy.decide import Bounds, Decider
from services.policy.intake import Latecomers, Questions
from services.policy.pool import FairPool
from services.policy.ports import InForce
from tests.unit.policy.builders import mail, rules

HOLDING = rules("when: {text: {contains: secret}}, then: {hold: {reviewers: legal}}")
RAW = mail("a secret\r\n")


class Tenants:
    """Every tenant has the same policy; `broken` ones cannot be used."""

    def __init__(self) -> None:
        self.in_force = InForce(HOLDING, 7)
        self.broken: set[str] = set()

    def current(self, tenant: TenantId) -> InForce:
        """See `Policies`."""
        if tenant in self.broken:
            raise Unavailable("broken")
        return self.in_force

    def group(self, tenant: TenantId, name: str) -> frozenset[str]:
        """See `Policies`."""
        return frozenset()

    def direction_of(self, tenant: TenantId, address: str, *, from_stranger: bool) -> Direction:
        """See `Policies`."""
        return "outbound"


class House:
    """One installation with a policy member and an ingress that asks."""

    def __init__(self) -> None:
        self.keys, self.broker, self.objects = FakeKeys(), InMemoryBroker(), InMemoryObjects()
        self.tenants, self.tenant = Tenants(), TenantId.new()
        self.config = PolicyConfig()
        self.ingress = self._facts("ingress", identities=False)
        self.policy = self._facts("policy", identities=True)
        self.reader = MailReader(self.objects, self.keys.identities, self.keys.writers)
        self.pool = FairPool(2, waiting=8, waiting_per_tenant=4)
        self.decider = Decider(self.tenants, self.pool, Bounds(Limits(), 64 * 1024))

    def _facts(self, service: str, *, identities: bool) -> Facts:
        bus = InMemoryBus(service, self.broker)
        reader = MailReader(self.objects, self.keys.identities, self.keys.writers) if identities else None
        return Facts(bus, self.keys.fact_keys(bus.bucket("factkeys"), identities=identities), reader)

    def envelope(self, raw: bytes = RAW) -> mail_pb2.Envelope:
        """An outbound mail's envelope."""
        made = mail_pb2.Envelope(
            tenant=self.tenant,
            mail_id=MailId.new(),
            sender="alice@acme.example",
            size=len(raw),
            sha256=hashlib.sha256(raw).digest(),
        )
        made.recipients.add(address="bob@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
        made.received_at.GetCurrentTime()
        return made

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Run the member."""
        questions = Questions(self.policy, self.decider, self.config)
        late = Latecomers(
            self.policy,
            self.reader,
            self.objects,
            self.keys.public,
            self.keys.signer("policy"),
            self.decider,
            self.config,
        )
        bus = InMemoryBus("policy", self.broker)
        async with bus.serve(DECIDE, questions.answer), bus.consume("policy-accepted", late.handle):
            yield

    async def commit(self, envelope: mail_pb2.Envelope, raw: bytes = RAW) -> None:
        """Store a mail undecided, as ingress does."""
        mail_id = MailId(envelope.mail_id)
        header = mail_pb2.ObjectHeader(tenant=self.tenant, mail_id=mail_id, envelope=envelope)
        recipients = [await self.keys.public.archive(self.tenant), await self.keys.public.pipeline(mail_id.day)]
        data = mailobject.seal(header, raw, recipients=recipients, signer=self.keys.signer("ingress"))
        await self.objects.create(mailobject.mail_key(self.tenant, mail_id), data)


@pytest.fixture
def house() -> House:
    """One installation."""
    return House()


async def test_a_question_is_answered_with_the_decision_and_its_reason(house: House) -> None:
    """The decision names revision, leg, rule, reviewers, and what was true."""
    envelope = house.envelope()
    async with house.serving():
        decision = await house.ingress.ask_decide(envelope, RAW, timeout=5)
    (leg,) = decision.legs
    assert (decision.revision, decision.origin, decision.mail_id) == (7, "policy", envelope.mail_id)
    assert (leg.number, leg.disposition, leg.rule, list(leg.reviewers)) == (
        1,
        mail_pb2.DISPOSITION_HOLD,
        "r1",
        ["legal"],
    )
    assert decision.why[0].predicates[0].spans[0].startswith("body 1 2-8: s")
    assert decision.coverage.complete


async def test_a_large_mail_is_read_from_its_blob(house: House) -> None:
    """A mail that is not in the question is where ingress wrote it."""
    raw = mail("secret " + "x" * 700_000)
    envelope = house.envelope(raw)
    sealer = mailobject.BlobSealer([await house.keys.public.pipeline(MailId(envelope.mail_id).day)])
    key = mailobject.blob_key(house.tenant, MailId(envelope.mail_id))
    await house.objects.create(key, sealer.update(raw) + sealer.finish())
    async with house.serving():
        decision = await house.ingress.ask_decide(envelope, None, timeout=5)
    assert decision.legs[0].disposition == mail_pb2.DISPOSITION_HOLD


async def test_doubt_in_the_dialogue_says_come_again(house: House) -> None:
    """Inbound and broken: no legs, origin tempfail."""
    envelope = house.envelope()
    envelope.recipients[0].direction = mail_pb2.DIRECTION_INBOUND
    async with house.serving():
        decision = await house.ingress.ask_decide(envelope, mail("Q!", Content_Transfer_Encoding="base64"), timeout=5)
    assert (decision.origin, len(decision.legs)) == ("tempfail", 0)
    assert decision.coverage.not_inspected[0].reason == "broken"


async def test_a_member_without_room_says_busy(house: House) -> None:
    """Nothing waits without bound, and a policy that cannot be used is not "no policy"."""
    house.config = replace(house.config, waiting_per_tenant=0)
    async with house.serving():
        with pytest.raises(Busy):
            await house.ingress.ask_decide(house.envelope(), RAW, timeout=5)
    house.config = PolicyConfig()
    house.tenants.broken.add(house.tenant)
    async with house.serving():
        with pytest.raises(Busy):
            await house.ingress.ask_decide(house.envelope(), RAW, timeout=5)


async def test_a_latecomer_is_decided_once_and_told(house: House) -> None:
    """The decision is durable and signed; a second try tells the same decision."""
    envelope = house.envelope()
    await house.commit(envelope)
    mail_id = MailId(envelope.mail_id)
    trace = mail_pb2.Trace(envelope=envelope)
    async with house.serving():
        await house.ingress.publish("accepted", trace, raw=RAW, msg_id=f"{mail_id}:a:0")
        await eventually(lambda: house.reader.decision(house.tenant, mail_id))
        first = await house.reader.decision(house.tenant, mail_id)
        assert first is not None
        house.tenants.in_force = InForce(rules("then: {delete: {}}"), 8)
        await house.ingress.publish("accepted", trace, raw=None, msg_id=f"{mail_id}:a:1")
        told = InMemoryBus("delivery", house.broker)
        seen: list[mail_pb2.Decision] = []

        async def hear(message: object) -> None:
            seen.append((await house.policy.open(message)).trace.decision)  # type: ignore[arg-type]

        async with told.consume("delivery-decided", hear):
            await eventually(lambda: len(seen) == 2)
    assert [d.revision for d in seen] == [7, 7]
    assert seen[0].legs[0].disposition == mail_pb2.DISPOSITION_HOLD


async def test_from_the_queue_a_tempfail_holds(house: House) -> None:
    """Accepted mail cannot be put off any more."""
    raw = mail("Q!", Content_Transfer_Encoding="base64")
    envelope = house.envelope(raw)
    envelope.recipients[0].direction = mail_pb2.DIRECTION_INBOUND
    await house.commit(envelope, raw)
    mail_id = MailId(envelope.mail_id)
    async with house.serving():
        await house.ingress.publish("accepted", mail_pb2.Trace(envelope=envelope), raw=raw, msg_id=f"{mail_id}:a:0")
        await eventually(lambda: house.reader.decision(house.tenant, mail_id))
    decision = await house.reader.decision(house.tenant, mail_id)
    assert decision is not None
    assert (decision.origin, decision.legs[0].disposition) == ("on_doubt", mail_pb2.DISPOSITION_HOLD)


async def test_an_inspection_that_takes_too_long_is_not_waited_for(house: House) -> None:
    """The mail then counts as not inspected, with its headers."""
    release = threading.Event()
    blockers = [asyncio.create_task(house.pool.run(TenantId.new(), release.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    try:
        raw = mail("x" * 100_000)
        decision = await house.decider(house.envelope(raw), raw, queued=True, timeout=0.05)
    finally:
        release.set()
        await asyncio.gather(*blockers)
    assert [n.reason for n in decision.coverage.not_inspected] == ["timeout"]
    assert decision.legs[0].disposition == mail_pb2.DISPOSITION_HOLD


async def test_one_tenant_never_has_every_thread(house: House) -> None:
    """While one tenant's jobs hang, another's are done; a full line says busy."""
    release = threading.Event()
    greedy, other = TenantId.new(), TenantId.new()
    jobs = [asyncio.create_task(house.pool.run(greedy, release.wait)) for _ in range(4)]
    try:
        assert await asyncio.wait_for(house.pool.run(other, lambda: 42), 5) == 42
        jobs += [asyncio.create_task(house.pool.run(greedy, release.wait))]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await house.pool.run(greedy, release.wait)
    finally:
        release.set()
        await asyncio.gather(*jobs)


async def test_a_decision_too_large_for_the_broker_loses_reasons_only(house: House) -> None:
    """A thousand recipients under many rules: every recipient has its leg."""
    lines = [
        f"when: {{recipient: {{address: ['u{i}@*', '*1@*']}}}}, then: {{tag: {{subject_prefix: x}}}}"
        for i in range(100)
    ]
    house.tenants.in_force = InForce(rules(*lines), 9)
    envelope = house.envelope()
    for i in range(999):
        envelope.recipients.add(address=f"u{i}@world.example", direction=mail_pb2.DIRECTION_OUTBOUND)
    decision = await house.decider(envelope, RAW, queued=False, timeout=60)
    assert sorted(r for leg in decision.legs for r in leg.recipients) == list(range(1000))
    assert decision.ByteSize() < 900_000
