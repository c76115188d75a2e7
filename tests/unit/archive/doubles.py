"""An archive in memory: index, store, bus and keys, wired as `app.py` wires the real ones."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from letterlock.mail.v1 import mail_pb2

from services.archive.core.document import from_document, to_document
from services.archive.core.fold import MailState
from services.archive.index import IndexFeed
from services.archive.look import Look
from services.archive.record import Recorder, taking
from services.archive.segments import Segments
from services.archive.sweeper import Sweeper
from services.common.bus import Message
from services.common.errors import Unavailable
from services.common.facts import Facts
from services.common.ids import MailId, TenantId
from services.common.mailreader import MailReader
from services.common.sealing import mailobject
from services.common.sealing.keys import today
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects


class InMemoryIndex:
    """Documents in a dict; `away` makes it unreachable, `lose` empties it as a restart of the embedded one does."""

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], dict[str, object]] = {}
        self.marks: dict[str, str] = {}
        self.generation = secrets.token_hex(4)
        self.away = False
        self.writes = 0

    def lose(self) -> None:
        """Forget everything."""
        self.documents, self.marks, self.generation = {}, {}, secrets.token_hex(4)

    async def ensure(self) -> str:
        """See `ports.Index`."""
        self._reach()
        return self.generation

    async def write(self, states: Sequence[MailState]) -> int:
        """See `ports.Index`."""
        self._reach()
        self.writes += 1
        for state in states:
            key = state.tenant, state.mail_id
            known = self.documents.get(key)
            merged = state if known is None else from_document(known).merge(state)
            self.documents[key] = to_document(merged, made=MailId(state.mail_id).time)
        return 0

    async def read(self, tenant: TenantId, mail_ids: Collection[MailId]) -> dict[MailId, MailState]:
        """See `ports.Index`."""
        self._reach()
        keys = ((m, self.documents.get((tenant, m))) for m in mail_ids)
        return {m: from_document(d) for m, d in keys if d is not None}

    async def present(self, tenant: TenantId, mail_ids: Collection[MailId]) -> set[MailId]:
        """See `ports.Index`."""
        return set(await self.read(tenant, mail_ids))

    async def days(self, tenant: TenantId) -> Mapping[date, int]:
        """See `ports.Index`."""
        self._reach()
        return Counter(MailId(m).day for t, m in self.documents if t == tenant)

    async def cursor(self, tenant: TenantId) -> str:
        """See `ports.Index`."""
        self._reach()
        return self.marks.get(f"cursor:{tenant}", "")

    async def set_cursor(self, tenant: TenantId, segment: str) -> None:
        """See `ports.Index`."""
        self._reach()
        self.marks[f"cursor:{tenant}"] = segment

    async def floor(self, tenant: TenantId) -> date | None:
        """See `ports.Index`."""
        self._reach()
        mark = self.marks.get(f"floor:{tenant}")
        return date.fromisoformat(mark) if mark else None

    async def set_floor(self, tenant: TenantId, day: date) -> None:
        """See `ports.Index`."""
        self._reach()
        self.marks[f"floor:{tenant}"] = day.isoformat()

    async def check(self) -> None:
        """See `ports.Index`."""
        self._reach()

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("the index is away")


@dataclass
class Clock:
    """Seconds since 1970, moved by hand."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


class RememberingKeeper:
    """Remembers which days were completed."""

    def __init__(self) -> None:
        self.days: list[date] = []

    async def complete(self, day: date) -> None:
        """See `ports.Keeper`."""
        self.days.append(day)


class Archive:
    """All parts of an archive; `restart` gives another process over the same store, bus and index."""

    def __init__(
        self,
        *,
        objects: InMemoryObjects | None = None,
        broker: InMemoryBroker | None = None,
        index: InMemoryIndex | None = None,
        keys: FakeKeys | None = None,
        clock: Clock | None = None,
        sweep_after: timedelta = timedelta(minutes=15),
    ) -> None:
        self.objects = objects or InMemoryObjects()
        self.broker = broker or InMemoryBroker()
        self.index = index or InMemoryIndex()
        self.keys = keys or FakeKeys()
        self.clock = clock or Clock()
        self.sweep_after = sweep_after
        self.bus = InMemoryBus("archive", self.broker)
        self.reader = MailReader(self.objects, self.keys.identities, self.keys.writers)
        self.facts = Facts(self.bus, self.keys.fact_keys(self.bus.bucket("factkeys")), self.reader)
        self.segments = Segments(self.objects, self.keys.public, self.keys.identities, clock=self.clock)
        self.feed = IndexFeed(self.index, self.segments, window=timedelta(0), clock=self.clock)
        self.look = Look(self.index, self.segments, self.feed)
        self.recorder = Recorder(self.segments, self.feed.submit, window=timedelta(milliseconds=5), limit=100)
        self.take = taking(self.facts, self.recorder)
        self.keeper = RememberingKeeper()
        self.sweeper = Sweeper(
            self.objects,
            self.bus,
            self.index,
            self.look,
            self.reader,
            self.facts,
            self.keeper,
            sweep_after=sweep_after,
            orphan_after=timedelta(hours=24),
            clock=self.clock,
        )

    def restart(self) -> Archive:
        """A new process: nothing of the old one's memory."""
        return Archive(
            objects=self.objects,
            broker=self.broker,
            index=self.index,
            keys=self.keys,
            clock=self.clock,
            sweep_after=self.sweep_after,
        )

    async def store(
        self,
        mail: mail_pb2.Trace,
        *,
        raw: bytes = b"Subject: x\r\n\r\nhello\r\n",
        signer: str = "ingress",
        age: timedelta = timedelta(0),
    ) -> MailId:
        """Put a mail's object into the store, as ingress does."""
        tenant, mail_id = TenantId(mail.envelope.tenant), MailId(mail.envelope.mail_id)
        mail.envelope.size, mail.envelope.sha256 = len(raw), hashlib.sha256(raw).digest()
        header = mail_pb2.ObjectHeader(tenant=tenant, mail_id=mail_id, envelope=mail.envelope)
        if mail.HasField("decision"):
            header.decision.CopyFrom(mail.decision)
        recipients = [await self.keys.public.archive(tenant), await self.keys.public.pipeline(mail_id.day)]
        data = mailobject.seal(header, raw, recipients=recipients, signer=self.keys.signer(signer))
        key = mailobject.mail_key(tenant, mail_id)
        await self.objects.create(key, data)
        self.objects.modified[key] = datetime.fromtimestamp(self.clock() - age.total_seconds(), UTC)
        return mail_id

    async def hear(self, kind: str, trace: mail_pb2.Trace, *, msg_id: str = "") -> Message:
        """Give a fact to the recorder as its consumer does; returns when it would be acked."""
        message = await self.message(kind, trace, msg_id=msg_id)
        await self.take(message)
        return message

    async def message(self, kind: str, trace: mail_pb2.Trace, *, msg_id: str = "") -> Message:
        """A fact as it comes from the bus."""
        envelope = trace.envelope
        subject = f"mail.{kind}.{envelope.tenant}" + (f".{envelope.mail_id}" if kind == "outcome" else "")
        data = await self.facts.encode(subject, kind, trace)  # type: ignore[arg-type]
        return Message(subject, data, {"Nats-Msg-Id": msg_id} if msg_id else {})


def mail(
    tenant: TenantId,
    *recipients: str,
    sender: str = "alice@acme.example",
    disposition: mail_pb2.Disposition = mail_pb2.DISPOSITION_DELIVER,
    undecided: bool = False,
    made: float | None = None,
) -> mail_pb2.Trace:
    """A mail with one leg for all recipients."""
    mail_id = MailId.new(now=made)
    named = [mail_pb2.Recipient(address=a, direction=mail_pb2.DIRECTION_OUTBOUND) for a in recipients]
    trace = mail_pb2.Trace()
    trace.envelope.CopyFrom(
        mail_pb2.Envelope(tenant=tenant, mail_id=mail_id, sender=sender, recipients=named, origin="relay")
    )
    trace.envelope.received_at.FromDatetime(mail_id.time)
    if not undecided:
        leg = mail_pb2.Leg(number=1, recipients=range(len(named)), disposition=disposition, rule="cards-out")
        trace.decision.CopyFrom(
            mail_pb2.Decision(tenant=tenant, mail_id=mail_id, revision=2, recipients=named, legs=[leg], origin="policy")
        )
        trace.decision.why.add(rule="cards-out", mode="enforce", matched=True)
        trace.decision.decided_at.FromDatetime(mail_id.time + timedelta(milliseconds=4))
    return trace


def outcome(
    trace: mail_pb2.Trace, state: mail_pb2.State, *positions: int, n: int = 1, after: float = 1.0, detail: str = ""
) -> mail_pb2.Trace:
    """What became of some recipients of a mail, `after` seconds."""
    result = mail_pb2.Trace(envelope=trace.envelope)
    name = mail_pb2.State.Name(state).removeprefix("STATE_").lower()
    result.outcome.CopyFrom(
        mail_pb2.Outcome(
            tenant=trace.envelope.tenant,
            mail_id=trace.envelope.mail_id,
            leg=1,
            recipients=positions,
            state=state,
            code=name,
            detail=detail,
            n=n,
            attempts=n,
            service="delivery",
            remote="mx.partner.example:25",
        )
    )
    result.outcome.at.FromDatetime(MailId(trace.envelope.mail_id).time + timedelta(seconds=after))
    return result


def utc(day: date) -> float:
    """The start of a UTC day, seconds since 1970."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


__all__ = ["Archive", "Clock", "InMemoryIndex", "mail", "outcome", "today", "utc"]
