"""One mail is one trace, over every service, a retry and a hold; and it costs nothing where nobody looks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
import structlog
from letterlock.mail.v1 import mail_pb2

from services.common import log, telemetry, tracing
from services.common.audit_entries import AuditTrail
from services.common.bus import Later
from services.common.errors import Unavailable
from services.common.facts import DECIDE, Facts
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.ingress.app import FactBus, SealTo
from services.ingress.core.parameters import MailCommand
from services.ingress.receive import PeerFacts, Receiver, Recipient, Transaction
from services.policy.config import PolicyConfig
from services.policy.intake import Questions
from services.quarantine.adapters.store import StoredHolds
from services.quarantine.core.holds import Decision
from services.quarantine.fitness import Fitness
from services.quarantine.hold import Quarantine
from services.quarantine.ports import Inspection
from tests.harness.collector import Collector, collecting
from tests.unit.archive.doubles import Archive
from tests.unit.delivery.conftest import ACME, World
from tests.unit.delivery.sinks import Sink, sink

RAW = b"From: alice@acme.example\r\nSubject: Zanzibar\r\n\r\nZanzibar\r\n"
SECRETS = ("Zanzibar", "alice", "bob", "carol")


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A receiver that all spans go to until the test ends."""
    async with collecting() as collector:
        tracing.configure("test", endpoint=collector.endpoint)
        try:
            yield collector
        finally:
            await off()


async def off() -> None:
    """Flush and stop; in a thread, because what is flushed arrives in this loop."""
    await asyncio.to_thread(tracing.configure, "test", endpoint="")


@pytest.fixture
def logged() -> Iterator[Sequence[MutableMapping[str, Any]]]:
    """Every event that is logged, with what is bound to it."""
    capture = structlog.testing.LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, tracing.of_mail, capture], cache_logger_on_first_use=False
    )
    try:
        yield capture.entries
    finally:
        structlog.configure(**before)


class Way:
    """A mail's whole way: ingress, policy, delivery, quarantine, archive, over one broker in memory."""

    def __init__(self) -> None:
        self.world = World()
        self.broker, self.keys = self.world.broker, self.world.keys
        ingress = InMemoryBus("ingress", self.broker)
        told = FactBus(Facts(ingress, self.keys.fact_keys(ingress.bucket("factkeys"), identities=False)))
        self.receiver = Receiver(
            objects=self.world.objects,
            keys=SealTo(self.keys.public),
            signer=self.keys.signer("ingress"),
            decider=told,
            publisher=told,
            hostname="mx.test",
        )
        self.policy = InMemoryBus("policy", self.broker)
        facts = Facts(self.policy, self.keys.fact_keys(self.policy.bucket("factkeys")), self.world.reader)
        self.questions = Questions(facts, cast(Any, _decide), PolicyConfig())
        self.bus = InMemoryBus("quarantine", self.broker)
        fact_keys = self.keys.fact_keys(self.bus.bucket("factkeys"))
        store = StoredHolds(self.world.objects, self.keys.public, self.keys.identities)
        facts, trail = Facts(self.bus, fact_keys), AuditTrail(self.bus, fact_keys)
        self.quarantine = Quarantine(store, facts, self.bus, trail, Fitness(_inspect))
        self.archive = Archive(objects=self.world.objects, broker=self.broker, keys=self.keys)

    async def go(self, hop: Sink) -> MailId:
        """Bob's copy is deferred once, Carol's is held and released."""
        self.world.hop = self.world.smarthost = hop.address
        hop.final = "450 4.2.0 later"
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.world.running())
            await stack.enter_async_context(self.policy.serve(DECIDE, self.questions.answer))
            await stack.enter_async_context(self.bus.consume("quarantine-decided", self.quarantine.on_decided))
            for kind in ("decided", "released", "outcome"):
                await stack.enter_async_context(self.archive.bus.consume(f"archive-{kind}", self.archive.take))
            incoming = self.receiver.begin(_transaction(self.world))
            await incoming.write(RAW)
            assert (await incoming.finish()).code == 250
            await eventually(lambda: self.tells(incoming.mail_id, 2))
            hop.final = "250 2.0.0 taken"
            hold = f"{incoming.mail_id}.2"
            release = Decision("release")
            await self.quarantine.decide(ACME, hold, release, by="lin@acme.example", standing=lambda _: "")
            await eventually(lambda: len(hop.taken) == 2 and self.tells(incoming.mail_id, 4))
        return incoming.mail_id

    def tells(self, mail_id: MailId, number: int) -> bool:
        """Whether so many outcomes were told, and all of them are recorded."""
        subject = f"mail.outcome.{ACME}.{mail_id}"
        return sum(m.subject == subject for m in self.broker.sent) >= number and not self.broker.kept(subject)


async def _inspect(tenant: TenantId, mail_id: MailId) -> Inspection:
    return Inspection(mail_pb2.Decision())


async def _decide(envelope: mail_pb2.Envelope, raw: bytes, *, queued: bool, timeout: float) -> mail_pb2.Decision:
    deliver, hold = mail_pb2.DISPOSITION_DELIVER, mail_pb2.DISPOSITION_HOLD
    legs = [mail_pb2.Leg(number=n, recipients=[n - 1], disposition=d) for n, d in ((1, deliver), (2, hold))]
    made = mail_pb2.Decision(
        tenant=envelope.tenant, mail_id=envelope.mail_id, recipients=envelope.recipients, legs=legs, origin="policy"
    )
    made.decided_at.GetCurrentTime()
    return made


def _transaction(world: World) -> Transaction:
    return Transaction(
        tenant=world.directory().tenants[ACME],
        mail=MailCommand("alice@acme.example"),
        recipients=(Recipient("bob@world.example", "outbound"), Recipient("carol@world.example", "outbound")),
        peer=PeerFacts("192.0.2.7", "client.example"),
        origin="submission",
    )


async def test_one_mail_is_one_trace_over_all_services(collector: Collector) -> None:
    """Through a retry, a hold and its release; and each fact's header says so to services written elsewhere."""
    way = Way()
    async with sink() as hop:
        mail_id = await way.go(hop)
    await off()
    of_mail = collector.of(f"{mail_id.number:032x}")
    assert {s.trace_id for s in collector.spans} == {of_mail[0].trace_id}
    assert {s.name for s in of_mail} >= {
        "ingress.accept",
        "ingress.commit",
        "policy.decide",
        "delivery.fact",
        "delivery.retry",
        "quarantine.hold",
        "quarantine.tell",
        "archive.record",
    }
    parents = {s.name: next((p.name for p in of_mail if p.span_id == s.parent_span_id), "") for s in of_mail}
    assert (parents["ingress.accept"], parents["policy.decide"]) == ("", "ingress.decide")
    facts = [m for m in way.broker.sent if m.subject.startswith(("mail.", "delivery."))]
    assert all(m.headers["traceparent"].split("-")[1] == f"{mail_id.number:032x}" for m in facts)


async def test_a_trace_says_nothing_of_a_mail_but_times_and_codes(collector: Collector) -> None:
    """No address, subject or content leaves with the spans, also when a stage fails."""
    async with sink() as hop:
        await Way().go(hop)
    with pytest.raises(Unavailable), telemetry.stage("delivery", "fact"):
        raise Unavailable("Zanzibar is away")
    await off()
    assert collector.spans[-1].status.message == "unavailable"
    exported = b"".join(collector.bodies)
    assert not [word for word in SECRETS if word.encode() in exported]


async def test_without_an_endpoint_nothing_is_traced() -> None:
    """No header, no span; and the stages still count."""
    way = Way()
    async with sink() as hop:
        await way.go(hop)
    assert not any("traceparent" in m.headers for m in way.broker.sent)
    assert tracing.inject() == {}


async def test_logs_of_a_mail_name_it_and_its_trace_and_nothing_secret(
    logged: Sequence[MutableMapping[str, Any]],
) -> None:
    """Tenant, mail id and trace id are bound in every service, with spans or without."""
    way = Way()
    async with sink() as hop:
        mail_id = await way.go(hop)
    wanted = {"mail.received", "delivery.delivered", "delivery.not_delivered", "hold.made", "hold.told"}
    about = [e for e in logged if e["event"] in wanted]
    assert {e["event"] for e in about} == wanted
    assert {(e["tenant"], e["mail_id"], e["trace_id"]) for e in about} == {(ACME, mail_id, f"{mail_id.number:032x}")}
    assert not [(e["event"], w) for e in logged for w in SECRETS if w in repr(e)]


async def test_batches_of_many_mails_are_logged_as_nobodys(logged: Sequence[MutableMapping[str, Any]]) -> None:
    """A task that was started for one mail and works for many is not bound to the first."""

    async def batch() -> None:
        tracing.forget_mail()
        log.get().info("batch.done")

    with tracing.mail(ACME, MailId.new()):
        await asyncio.create_task(batch())
        log.get().info("mail.done")
    assert "mail_id" not in logged[0]
    assert "mail_id" in logged[1]


def _value(name: str, **labels: str) -> float:
    from prometheus_client import REGISTRY

    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_stage_is_timed_and_its_failures_are_counted_by_code() -> None:
    """`Later` is no failure."""
    labels = {"service": "test", "stage": "work"}
    with telemetry.stage("test", "work"):
        pass
    for error in (Unavailable("x"), ValueError("x"), Later(1)):
        with pytest.raises(type(error)), telemetry.stage("test", "work"):
            raise error
    assert _value("letterlock_stage_seconds_count", **labels) == 4
    assert _value("letterlock_stage_errors_total", **labels, code="unavailable") == 1
    assert _value("letterlock_stage_errors_total", **labels, code="ValueError") == 1
    assert _value("letterlock_stage_errors_total", **labels, code="Later") == 0


def test_tenants_beyond_the_limit_count_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tenants there are, a counter has a bounded number of series."""
    monkeypatch.setattr(telemetry, "_tenants", set())
    monkeypatch.setattr(telemetry, "_limit", 2)
    for _ in range(5):
        telemetry.count("test", "bounded", TenantId.new())
    assert _value("letterlock_events_total", service="test", event="bounded", tenant="other") == 3


async def test_each_service_measures_what_waits_for_its_own_consumers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge follows the broker, and keeps its last value while the broker is away."""
    monkeypatch.setattr(telemetry, "_LAG_EVERY", 0.01)
    broker = InMemoryBroker()
    bus = InMemoryBus("policy", broker)

    async def is_now(number: float) -> None:
        await eventually(lambda: _value("letterlock_queue_lag", consumer="policy-accepted") == number)

    async with telemetry.watching_lag(bus, "policy"):
        await is_now(0)
        broker.store(f"mail.accepted.{ACME}", b"", {})
        await is_now(1)
        broker.up = False
        await is_now(1)
        broker.up = True
        broker.store(f"mail.accepted.{ACME}", b"", {})
        await is_now(2)
