"""Facts show three things in clear; whoever cannot open one reads the store."""

from __future__ import annotations

import hashlib
import os

import pytest
import zstandard
from letterlock.mail.v1 import mail_pb2

from services.common import facts as module
from services.common.bus import Message
from services.common.errors import Busy, Corrupt, NoResponders, TooLarge, Unavailable
from services.common.facts import Facts, MailReader
from services.common.ids import MailId, TenantId
from services.common.sealing import mailobject
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects

from .conftest import RAW
from .double import MemoryBucket, MemoryBus


class House:
    """A bus, a bucket, a store and keys; `facts` is one process more."""

    def __init__(self, keys: FakeKeys) -> None:
        self.keys, self.bus, self.bucket, self.objects = keys, MemoryBus(), MemoryBucket(), InMemoryObjects()

    def facts(self, *, identities: bool = True) -> Facts:
        """The facts of a new process."""
        reader = MailReader(self.objects, self.keys.identities, self.keys.writers) if identities else None
        fact_keys = self.keys.fact_keys(self.bucket, identities=identities)  # type: ignore[arg-type]
        return Facts(self.bus, fact_keys, reader)  # type: ignore[arg-type]

    async def store(self, header: mail_pb2.ObjectHeader, raw: bytes = RAW) -> None:
        """Commit a mail as ingress does."""
        tenant, mail_id = TenantId(header.tenant), MailId(header.mail_id)
        recipients = [await self.keys.public.archive(tenant), await self.keys.public.pipeline(mail_id.day)]
        if header.blob:
            sealer = mailobject.BlobSealer(recipients)
            data = sealer.update(raw) + sealer.finish()
            await self.objects.create(mailobject.blob_key(tenant, mail_id), data)
            raw = b""
        data = mailobject.seal(header, raw, recipients=recipients, signer=self.keys.signer("ingress"))
        await self.objects.create(mailobject.mail_key(tenant, mail_id), data)


@pytest.fixture
def house(keys: FakeKeys) -> House:
    """One installation."""
    return House(keys)


async def test_fact_travels_sealed_and_opens(house: House, envelope: mail_pb2.Envelope) -> None:
    """Addresses and content are not on the bus; trace and raw mail come out."""
    trace = mail_pb2.Trace(envelope=envelope)
    await house.facts(identities=False).publish("accepted", trace, raw=RAW, msg_id="m:a:0")
    ((message, msg_id),) = house.bus.published
    assert (message.subject, msg_id) == (f"mail.accepted.{envelope.tenant}", "m:a:0")
    assert b"acme" not in message.data
    assert b"eagle" not in message.data
    fact = await house.facts().open(message)
    assert (fact.tenant, fact.mail_id, fact.kind) == (envelope.tenant, envelope.mail_id, "accepted")
    assert fact.trace == trace
    assert await fact.content() == RAW


async def test_large_mail_is_read_from_the_store(house: House, header: mail_pb2.ObjectHeader) -> None:
    """Over 256 KiB a fact bears no content; over 512 KiB the body is a blob."""
    raw = RAW + bytes(700_000)
    header.envelope.size, header.blob = len(raw), True
    header.envelope.sha256 = hashlib.sha256(raw).digest()
    await house.store(header, raw)
    trace = module.trace_from(header)
    await house.facts(identities=False).publish("decided", trace, raw=raw, msg_id="m")
    message = house.bus.published[0][0]
    assert len(message.data) < 2000
    assert await (await house.facts().open(message)).content() == raw


async def test_lost_bucket_falls_back_to_the_store(house: House, header: mail_pb2.ObjectHeader) -> None:
    """Trace and content both, and a decision that came later."""
    await house.store(header)
    await house.facts().publish("accepted", module.trace_from(header), raw=RAW, msg_id="m")
    house.bucket.values.clear()
    tenant, mail_id = TenantId(header.tenant), MailId(header.mail_id)
    decision = mail_pb2.Decision(tenant=tenant, mail_id=mail_id, revision=4)
    sealed = mailobject.seal_decision(decision, [await house.keys.public.trace(tenant)], house.keys.signer("policy"))
    await house.objects.create(mailobject.decision_key(tenant, mail_id), sealed)
    fact = await house.facts().open(house.bus.published[0][0])
    assert fact.from_store
    assert fact.trace.envelope == header.envelope
    assert fact.trace.decision == decision
    assert await fact.content() == RAW


async def test_what_only_the_fact_says_is_not_guessed(house: House, header: mail_pb2.ObjectHeader) -> None:
    """A release that cannot be opened is retried, never widened to all legs."""
    await house.store(header)
    trace = module.trace_from(header)
    trace.legs.append(2)
    await house.facts().publish("released", trace, raw=RAW, msg_id="m")
    house.bucket.values.clear()
    with pytest.raises(Unavailable):
        await house.facts().open(house.bus.published[0][0])


async def test_moved_fact_is_corrupt(house: House, envelope: mail_pb2.Envelope) -> None:
    """On another subject, under another mail's id, or as junk."""
    await house.facts().publish("accepted", mail_pb2.Trace(envelope=envelope), raw=None, msg_id="m")
    message = house.bus.published[0][0]
    moved = mail_pb2.Fact.FromString(message.data)
    moved.mail_id = MailId.new()
    for bad in (
        Message(f"mail.released.{envelope.tenant}", message.data),
        Message(message.subject, moved.SerializeToString()),
        Message(message.subject, b"\xff\xff"),
    ):
        with pytest.raises(Corrupt):
            await house.facts().open(bad)


async def test_outcome_has_its_own_subject_and_id(house: House, envelope: mail_pb2.Envelope) -> None:
    """`<id>:<leg>:<state>:<n>`, with or without what it is about."""
    outcome = mail_pb2.Outcome(
        tenant=envelope.tenant, mail_id=envelope.mail_id, leg=2, state=mail_pb2.STATE_DELIVERED, n=3, detail="250 ok"
    )
    for about in (None, envelope, mail_pb2.Trace(envelope=envelope)):
        await house.facts().outcome(about, outcome)
        message, msg_id = house.bus.published[-1]
        assert message.subject == f"mail.outcome.{envelope.tenant}.{envelope.mail_id}"
        assert msg_id == f"{envelope.mail_id}:2:delivered:3"
        fact = await house.facts().open(message)
        assert fact.trace.outcome == outcome
        assert fact.trace.HasField("envelope") is (about is not None)


async def test_scheduled_fact_opens_on_its_subject(house: House, envelope: mail_pb2.Envelope) -> None:
    """What delivery schedules for itself comes back as a fact."""
    subject = f"delivery.retry.{envelope.tenant}"
    data = await house.facts().encode(subject, "decided", mail_pb2.Trace(envelope=envelope, legs=[1]))
    fact = await house.facts().open(Message(subject, data))
    assert list(fact.trace.legs) == [1]


async def test_question_is_answered_for_the_asker_alone(house: House, envelope: mail_pb2.Envelope) -> None:
    """Ingress has no identity and reads the answer; a second ingress does not."""
    policy, decision = house.facts(), mail_pb2.Decision(tenant=envelope.tenant, mail_id=envelope.mail_id, revision=9)
    answers: list[bytes] = []

    async def responder(message: Message) -> bytes:
        question = await policy.open_question(message)
        assert question.envelope == envelope
        assert await question.content() == RAW
        answers.append(await policy.seal_answer(question, decision))
        return answers[-1]

    house.bus.responder = responder
    assert await house.facts(identities=False).ask_decide(envelope, RAW, timeout=5) == decision
    assert b"acme" not in house.bus.asked[0]
    assert b"eagle" not in house.bus.asked[0]

    async def replayed(_: Message) -> bytes:
        return answers[0]

    house.bus.responder = replayed
    with pytest.raises(Corrupt):
        await house.facts(identities=False).ask_decide(envelope, RAW, timeout=5)


async def test_question_about_a_large_mail_reads_the_blob(house: House, envelope: mail_pb2.Envelope) -> None:
    """Before anything but the blob is committed."""
    raw = RAW + bytes(600_000)
    envelope.size, envelope.sha256 = len(raw), hashlib.sha256(raw).digest()
    tenant, mail_id = TenantId(envelope.tenant), MailId(envelope.mail_id)
    sealer = mailobject.BlobSealer([await house.keys.public.pipeline(mail_id.day)])
    await house.objects.create(mailobject.blob_key(tenant, mail_id), sealer.update(raw) + sealer.finish())
    policy = house.facts()

    async def responder(message: Message) -> bytes:
        question = await policy.open_question(message)
        assert await question.content() == raw
        return policy.busy_answer()

    house.bus.responder = responder
    with pytest.raises(Busy):
        await house.facts(identities=False).ask_decide(envelope, None, timeout=5)


async def test_nobody_there_is_said(house: House, envelope: mail_pb2.Envelope) -> None:
    """The asker answers 451 then."""
    with pytest.raises(NoResponders):
        await house.facts(identities=False).ask_decide(envelope, RAW, timeout=5)


async def test_huge_trace_fits_the_bus(house: House, header: mail_pb2.ObjectHeader) -> None:
    """Compressed, with envelope, decision and reasons."""
    decision = header.decision
    decision.tenant, decision.mail_id = header.tenant, header.mail_id
    for index in range(1000):
        for into in (header.envelope.recipients, decision.recipients):
            into.add(address=f"{index:0250}@acme.example", orcpt=f"rfc822;{index:0250}@acme.example")
        decision.why.add(rule="r" * 300)
    trace = module.trace_from(header)
    await house.facts(identities=False).publish("decided", trace, raw=RAW, msg_id="m")
    message = house.bus.published[0][0]
    assert len(message.data) < 200_000
    assert (await house.facts().open(message)).trace == trace


async def test_reasons_go_when_even_packed_they_do_not_fit(house: House, header: mail_pb2.ObjectHeader) -> None:
    """What cannot be compressed and is for people only stays in the object; more is refused."""
    header.decision.tenant, header.decision.mail_id = header.tenant, header.mail_id
    header.decision.why.add(rule=os.urandom(600_000).hex())
    await house.facts().publish("decided", module.trace_from(header), raw=RAW, msg_id="m")
    fact = await house.facts().open(house.bus.published[0][0])
    assert not fact.trace.decision.why
    assert fact.trace.envelope == header.envelope
    header.envelope.sender = os.urandom(1_200_000).hex()
    with pytest.raises(TooLarge):
        await house.facts().publish("decided", module.trace_from(header), raw=None, msg_id="n")


async def test_bomb_in_a_trace_is_corrupt(house: House, envelope: mail_pb2.Envelope) -> None:
    """Unpacking is bounded."""
    tenant, subject = TenantId(envelope.tenant), f"mail.accepted.{envelope.tenant}"
    bomb = zstandard.ZstdCompressor().compress(bytes(100 << 20))
    keys = house.keys.fact_keys(house.bucket)  # type: ignore[arg-type]
    aad = f"trace\0{subject}\0{envelope.mail_id}".encode()
    fact = mail_pb2.Fact(tenant=tenant, mail_id=envelope.mail_id, kind=mail_pb2.KIND_ACCEPTED)
    fact.trace.CopyFrom(await keys.seal(("trace", tenant), bomb, aad))
    with pytest.raises(Corrupt):
        await house.facts().open(Message(subject, fact.SerializeToString()))


async def test_seal_after_midnight_is_found(house: House, keys: FakeKeys, header: mail_pb2.ObjectHeader) -> None:
    """The id is of one day, the key of the next."""
    late = MailId.new(now=86_399)
    for part in (header, header.envelope):
        part.mail_id = late
    tenant = TenantId(header.tenant)
    recipients = [keys.pair("pipeline/1970-01-02")[1]]
    data = mailobject.seal(header, RAW, recipients=recipients, signer=keys.signer("ingress"))
    await house.objects.create(mailobject.mail_key(tenant, late), data)
    reader = MailReader(house.objects, keys.identities, keys.writers)
    assert (await reader.read(tenant, late))[1] == RAW
