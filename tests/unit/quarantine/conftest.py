"""A quarantine over parts in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common import rpc
from services.common.audit_entries import AuditEntry, AuditTrail
from services.common.auth import Principal
from services.common.bus import Message
from services.common.control_store import ControlStore
from services.common.directory import Directory, Domain, Group, Person, Tenant
from services.common.errors import NotFound, Unavailable
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.common.notices import Templates
from services.common.systemmail import SystemMail
from services.common.testing.audit import InMemoryAuditLog
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.quarantine.adapters.grpc import HoldServicer
from services.quarantine.adapters.settings import StoredSettings
from services.quarantine.adapters.store import StoredHolds
from services.quarantine.announce import Announcer
from services.quarantine.core.holds import Action, Decision
from services.quarantine.fitness import Fitness
from services.quarantine.hold import Quarantine
from services.quarantine.links import Links
from services.quarantine.people import People
from services.quarantine.ports import Held, Inspection
from services.quarantine.review import Review

ACME, UMBRELLA = TenantId.new(), TenantId.new()
VIEW = Directory(
    1,
    {ACME: Tenant(ACME, "acme"), UMBRELLA: Tenant(UMBRELLA, "umbrella")},
    {"acme.example": Domain("acme.example", ACME), "umbrella.example": Domain("umbrella.example", UMBRELLA)},
    (),
    {
        address: Person(address, tenant, frozenset({role}))
        for address, tenant, role in (
            ("alice@acme.example", ACME, "user"),
            ("lin@acme.example", ACME, "reviewer"),
            ("wu@acme.example", ACME, "reviewer"),
            ("rev@acme.example", ACME, "reviewer"),
            ("plain@acme.example", ACME, "user"),
            ("rev@umbrella.example", UMBRELLA, "reviewer"),
        )
    },
    {
        (ACME, "legal"): Group("legal", ACME, frozenset({"lin@acme.example", "plain@acme.example"})),
        (ACME, "board"): Group("board", ACME, frozenset({"lin@acme.example", "wu@acme.example"})),
    },
)


class Engines:
    """Policy's second look: what it will say, and how often it was asked."""

    def __init__(self) -> None:
        self.malware, self.gone, self.away = False, False, False
        self.disposition: mail_pb2.Disposition = mail_pb2.DISPOSITION_HOLD
        self.asked = 0

    async def __call__(self, tenant: TenantId, mail_id: MailId) -> Inspection:
        """See `Inspector`."""
        self.asked += 1
        if self.away:
            raise Unavailable
        if self.gone:
            raise NotFound
        decision = mail_pb2.Decision(tenant=tenant, mail_id=mail_id)
        decision.recipients.add(address="two@out.example")
        decision.legs.add(number=1, recipients=[0], disposition=self.disposition, rule="today")
        return Inspection(decision, self.malware)


class Place:
    """A quarantine over parts in memory; `restart` is a new process over the same store."""

    def __init__(self) -> None:
        self.broker, self.objects, self.keys = InMemoryBroker(), InMemoryObjects(), FakeKeys()
        self.time, self.engines = datetime.now(UTC), Engines()
        self.log = InMemoryAuditLog()
        self.restart()

    def restart(self) -> None:
        """A fresh process."""
        self.bus = InMemoryBus("quarantine", self.broker)
        fact_keys = self.keys.fact_keys(self.bus.bucket("factkeys"))
        public, identities = self.keys.public, self.keys.identities
        self.facts = Facts(self.bus, fact_keys)
        self.store = StoredHolds(self.objects, public, identities)
        self.settings = StoredSettings(self.objects, public, identities)
        self.people = People(self.settings)
        self.links = Links(self.settings, self.objects, "https://portal.example", now=self.now)
        self.trail = AuditTrail(self.bus, fact_keys)
        self.quarantine = Quarantine(self.store, self.facts, self.bus, self.trail, Fitness(self.engines), now=self.now)
        self.review = Review(self.store, self.quarantine, self.people, self.reveal)
        self.api = HoldServicer(self.review, self.people, self.settings, self.links)
        self.templates = Templates(self.objects)
        signer = self.keys.signer("quarantine")
        self.announcer = Announcer(
            self.store,
            self.people,
            self.templates,
            SystemMail(self.objects, public, signer, self.facts, None, lambda: VIEW, now=self.now),
            self.links,
            ControlStore(self.objects),
            lambda: VIEW,
            hostname="gate.example",
            window=timedelta(0),
            digest_hours=(1,),
            now=self.now,
        )

    def now(self) -> datetime:
        """The clock of this place."""
        return self.time

    async def reveal(self, tenant: TenantId, mail_id: MailId, entry: AuditEntry) -> AsyncIterator[bytes]:
        """A `Reveal` over a log in memory."""
        await self.log.append(entry)
        for piece in (b"Subject: x\r\n", b"\r\nhello\r\n"):
            yield piece

    async def decided(
        self,
        *,
        reviewers: tuple[str, ...] = ("legal",),
        seconds: int = 0,
        on_expiry: str = "",
        levels: int = 0,
        disposition: mail_pb2.Disposition = mail_pb2.DISPOSITION_HOLD,
        direction: mail_pb2.Direction = mail_pb2.DIRECTION_OUTBOUND,
        sender: str = "alice@acme.example",
        second: str = "two@out.example",
    ) -> MailId:
        """A mail of alice's to two recipients, of which the second is held, reaches the quarantine."""
        mail_id = MailId.new()
        trace = mail_pb2.Trace()
        trace.envelope.tenant, trace.envelope.mail_id = ACME, mail_id
        trace.envelope.sender, trace.envelope.size = sender, 1234
        decision = trace.decision
        decision.tenant, decision.mail_id = ACME, mail_id
        decision.decided_at.FromDatetime(self.time)
        for address in ("one@out.example", second):
            decision.recipients.add(address=address, direction=direction)
        decision.why.add(rule="cards-out", matched=True).predicates.add(path="when", truth=True, spans=["4111********"])
        decision.legs.add(number=1, recipients=[0], disposition=mail_pb2.DISPOSITION_DELIVER)
        decision.legs.add(
            number=2,
            recipients=[1],
            disposition=disposition,
            rule="cards-out",
            text="card numbers",
            reviewers=reviewers,
            seconds=seconds,
            on_expiry=on_expiry,
            levels=levels,
        )
        subject = f"mail.decided.{ACME}"
        self.message = Message(subject, await self.facts.encode(subject, "decided", trace))
        await self.quarantine.on_decided(self.message)
        return mail_id

    async def decide(
        self,
        mail_id: MailId,
        action: Action,
        *,
        by: str = "lin@acme.example",
        note: str = "",
        target: str = "",
        force: bool = False,
    ) -> Held:
        """Decide the held leg as a person of the directory."""
        decision = Decision(action, note, target)
        return await self.review.decide(VIEW, ACME, by, f"{mail_id}.2", decision, force=force)

    async def held(self, mail_id: MailId) -> Held:
        """The hold as it is."""
        found = await self.store.get(ACME, f"{mail_id}.2")
        assert found is not None
        return found

    async def pipeline_content(self, box: mail_pb2.Sealed, subject: str, mail_id: str) -> bytes:
        """What delivery reads of a fact's content."""
        return await self.facts._keys.open(box, f"content\0{subject}\0{mail_id}".encode())

    async def told(self, pattern: str) -> list[mail_pb2.Trace]:
        """What was published on subjects that start so, opened."""
        return [(await self.facts.open(m)).trace for m in self.broker.sent if m.subject.startswith(pattern)]

    async def outcomes(self) -> list[tuple[int, str]]:
        """Leg and state of each outcome."""
        states = mail_pb2.State.Name
        return [(t.outcome.leg, states(t.outcome.state)) for t in await self.told("mail.outcome.")]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """A quarantine whose audit entries are told."""
    here = Place()
    async with here.trail.running():
        yield here


def person(address: str) -> Any:
    """Act as a person of the directory."""
    known = VIEW.people[address]
    return rpc.acting_as(Principal("person", known.tenant, known.address, known.roles), VIEW)
