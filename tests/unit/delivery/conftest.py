"""A whole delivery over doubles: store, keys, broker and archive in memory, next hops on sockets."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from letterlock.archive.v1 import archive_pb2
from letterlock.mail.v1 import mail_pb2

from services.common.bus import Message
from services.common.components import DnsConfig
from services.common.directory import Directory, Domain, Group, Route, Tenant
from services.common.facts import Facts, MailReader
from services.common.ids import MailId, TenantId
from services.common.notices import Templates
from services.common.sealing import mailobject
from services.common.secretmail import SecretNotices
from services.common.systemmail import SystemMail, utc_now
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.delivery.adapters.dns import Resolver
from services.delivery.adapters.fates import RecordedFates
from services.delivery.adapters.leases import BucketLeases
from services.delivery.adapters.queue import BrokerQueue
from services.delivery.adapters.smtp import SmtpTransport
from services.delivery.changes import Changes
from services.delivery.config import DeliveryConfig
from services.delivery.core.destinations import Destinations
from services.delivery.core.schedule import Schedule
from services.delivery.deliver import Deliver
from services.delivery.fate_report import Reporter
from services.delivery.notices import Notices
from services.delivery.passes import Passes
from services.delivery.sealed import Sealed

ACME, OTHER = TenantId.new(now=1), TenantId.new(now=2)
RAW = b"From: alice@acme.example\r\nSubject: hello\r\n\r\n.body \xa4\xa4\r\n"
CONFIG = DeliveryConfig(
    hostname="mx.letterlock.example",
    retry_after=(timedelta(milliseconds=200), timedelta(milliseconds=400)),
    give_up_after=timedelta(seconds=30),
)


@dataclass
class World:
    """One installation as delivery sees it."""

    config: DeliveryConfig = CONFIG
    keys: FakeKeys = field(default_factory=FakeKeys)
    objects: InMemoryObjects = field(default_factory=InMemoryObjects)
    broker: InMemoryBroker = field(default_factory=InMemoryBroker)
    hop: str = "127.0.0.1:9"
    smarthost: str = "127.0.0.1:9"
    recorded: list[mail_pb2.Outcome] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.bus = InMemoryBus("delivery", self.broker)
        self.ingress = InMemoryBus("ingress", self.broker)
        self.archive = InMemoryBus("archive", self.broker)
        self.reader = MailReader(self.objects, self.keys.identities, self.keys.writers)
        fact_keys = self.keys.fact_keys(self.bus.bucket("factkeys"))
        self.facts = Facts(self.bus, fact_keys, self.reader)
        self.sealed_facts = Facts(self.bus, fact_keys)
        self.tell = Facts(self.ingress, self.keys.fact_keys(self.ingress.bucket("factkeys")))
        quarantine = InMemoryBus("quarantine", self.broker)
        self.release = Facts(quarantine, self.keys.fact_keys(quarantine.bucket("factkeys")))
        self.queue = BrokerQueue(self.bus)

    def directory(self) -> Directory:
        return Directory(
            tenants={
                ACME: Tenant(ACME, "acme", Route(self.hop, "none"), Route(self.smarthost, "none")),
                OTHER: Tenant(OTHER, "other"),
            },
            domains={"acme.example": Domain("acme.example", ACME)},
            groups={(ACME, "legal"): Group("legal", ACME, frozenset({"lin@acme.example"}))},
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """Delivery consumes while this lives."""
        config = self.config
        self.destinations = Destinations(most=4, first=0.1)
        transport = SmtpTransport(config, Resolver(DnsConfig(servers=("127.0.0.1:9",))), self.destinations)
        system = SystemMail(
            self.objects,
            self.keys.public,
            self.keys.signer("delivery"),
            self.facts,
            self.reader,
            self.directory,
            now=utc_now,
        )
        reporter = Reporter(
            self.facts,
            system,
            Templates(self.objects),
            self.directory,
            hostname=config.hostname,
            whole_bytes=10**6,
            now=utc_now,
        )
        passes = Passes(
            transport=transport,
            queue=self.queue,
            reporter=reporter,
            schedule=Schedule(config.retry_after, config.give_up_after, config.delay_notice_after),
            directory=self.directory,
            changes=Changes(
                self.objects,
                self.keys.public,
                self.keys.signer("delivery"),
                self.keys.identities,
                self.keys.writers,
            ),
            hostname=config.hostname,
            most_recipients=config.recipients_per_transaction,
            now=utc_now,
        )
        deliver = Deliver(
            facts=self.facts,
            sealed_facts=self.sealed_facts,
            reader=self.reader,
            sealed=Sealed(
                self.objects,
                self.keys.identities,
                self.keys.writers,
                SecretNotices(self.objects, self.keys.identities, self.keys.writers),
            ),
            fates=RecordedFates(self.bus, self.facts),
            queue=self.queue,
            passes=passes,
            reporter=reporter,
            notices=Notices(system, self.directory, hostname=config.hostname),
            leases=BucketLeases(self.bus.bucket("working"), now=utc_now),
            fresh_for=config.fresh_for,
            now=utc_now,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(transport.close)
            await stack.enter_async_context(self.archive.serve("archive.fates", self._fates))
            for name in ("decided", "released", "sealed"):
                await stack.enter_async_context(self.bus.consume(f"delivery-{name}", deliver.fact, concurrency=64))
            await stack.enter_async_context(self.bus.consume("delivery-retry", deliver.retry))
            try:
                yield self
            finally:
                transport.stop()

    async def _fates(self, message: Message) -> bytes:
        self.asked += 1
        request = archive_pb2.FatesRequest.FromString(message.data)
        mine = [o for o in self.recorded if o.mail_id == request.mail_id]
        return archive_pb2.FatesResponse(outcomes=mine).SerializeToString()

    async def accept(
        self,
        recipients: Sequence[str | mail_pb2.Recipient],
        *,
        raw: bytes = RAW,
        sender: str = "alice@acme.example",
        legs: Sequence[mail_pb2.Leg] = (),
        change: Callable[[mail_pb2.Envelope], None] = lambda envelope: None,
        publish: bool = True,
    ) -> mail_pb2.Trace:
        """A decided mail in the store; its fact on the bus if `publish`."""
        mail_id = MailId.new()
        named = [
            r if isinstance(r, mail_pb2.Recipient) else mail_pb2.Recipient(address=r, direction=_direction(sender, r))
            for r in recipients
        ]
        envelope = mail_pb2.Envelope(
            tenant=ACME,
            mail_id=mail_id,
            sender=sender,
            recipients=[r for r in named if not r.added],
            peer=mail_pb2.Peer(address="192.0.2.7", helo="client.example", tls="TLSv1.3"),
            size=len(raw),
            sha256=hashlib.sha256(raw).digest(),
            origin="relay",
        )
        envelope.received_at.FromDatetime(utc_now())
        change(envelope)
        whole = mail_pb2.Leg(number=1, recipients=range(len(named)), disposition=mail_pb2.DISPOSITION_DELIVER)
        decision = mail_pb2.Decision(
            tenant=ACME, mail_id=mail_id, recipients=named, legs=legs or [whole], origin="policy"
        )
        decision.decided_at.FromDatetime(utc_now())
        header = mail_pb2.ObjectHeader(tenant=ACME, mail_id=mail_id, envelope=envelope, decision=decision)
        to = [await self.keys.public.archive(ACME), await self.keys.public.pipeline()]
        data = mailobject.seal(header, raw, recipients=to, signer=self.keys.signer("ingress"))
        await self.objects.create(mailobject.mail_key(ACME, mail_id), data)
        trace = mail_pb2.Trace(envelope=envelope, decision=decision)
        if publish:
            await self.tell.publish("decided", trace, raw=raw, msg_id=f"{mail_id}:d:0")
        return trace

    async def outcomes(self, trace: mail_pb2.Trace | None = None) -> list[mail_pb2.Outcome]:
        """What delivery told so far, of a mail or of all."""
        subject = f"mail.outcome.{ACME}.{trace.envelope.mail_id}" if trace else f"mail.outcome.{ACME}."
        told = [m for m in self.broker.sent if m.subject.startswith(subject)]
        return [(await self.facts.open(m)).trace.outcome for m in told]

    async def states(self, trace: mail_pb2.Trace) -> dict[int, tuple[str, str]]:
        """Each recipient's newest state and code."""
        return {
            p: (mail_pb2.State.Name(o.state).removeprefix("STATE_").lower(), o.code)
            for o in await self.outcomes(trace)
            for p in o.recipients
        }

    def with_config(self, **fields: object) -> World:
        """The same with other settings."""
        self.config = replace(self.config, **fields)  # type: ignore[arg-type]
        return self


def _direction(sender: str, recipient: str) -> mail_pb2.Direction:
    ours = recipient.endswith("@acme.example"), sender.endswith("@acme.example")
    if ours == (True, True):
        return mail_pb2.DIRECTION_INTERNAL
    return mail_pb2.DIRECTION_INBOUND if ours[0] else mail_pb2.DIRECTION_OUTBOUND


@pytest.fixture
def world() -> World:
    """An installation; start it with `async with world.running()`."""
    return World()
