"""Facts over a real broker: sealed on the wire, opened by the services that may, healed when the bucket is lost."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.bus import Message
from services.common.facts import Facts, MailReader, OpenFact, trace_from
from services.common.ids import MailId, TenantId
from services.common.sealing import mailobject
from services.common.testing.broker import running_broker
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects

RAW = b"Subject: plan\r\n\r\nThe eagle lands at noon.\r\n"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[SimpleNamespace]:
    """A broker, a store, and a mail; `facts(service)` is a process of that service."""
    keys, objects = FakeKeys(), InMemoryObjects()
    tenant, mail_id = TenantId.new(), MailId.new()
    envelope = mail_pb2.Envelope(
        tenant=tenant, mail_id=mail_id, sender="a@acme.example", size=len(RAW), sha256=hashlib.sha256(RAW).digest()
    )
    header = mail_pb2.ObjectHeader(tenant=tenant, mail_id=mail_id, envelope=envelope)
    recipients = [await keys.public.archive(tenant), await keys.public.pipeline(mail_id.day)]
    data = mailobject.seal(header, RAW, recipients=recipients, signer=keys.signer("ingress"))
    await objects.create(mailobject.mail_key(tenant, mail_id), data)
    async with running_broker(tmp_path) as broker:
        buses = {name: await broker.connect(name) for name in ("ingress", "policy", "delivery")}

        def facts(service: str) -> Facts:
            may = service != "ingress"
            reader = MailReader(objects, keys.identities, keys.writers) if may else None
            return Facts(buses[service], keys.fact_keys(buses[service].bucket("factkeys"), identities=may), reader)

        yield SimpleNamespace(facts=facts, buses=buses, header=header, envelope=envelope)


async def first(place: SimpleNamespace, service: str, consumer: str) -> tuple[OpenFact, bytes | None, bytes]:
    """The first fact a consumer gets, its content, and what it looked like on the wire."""
    got: asyncio.Future[tuple[OpenFact, bytes | None, bytes]] = asyncio.get_running_loop().create_future()
    facts = place.facts(service)

    async def handler(message: Message) -> None:
        fact = await facts.open(message)
        if not got.done():
            got.set_result((fact, await fact.content(), message.data))

    async with place.buses[service].consume(consumer, handler):
        return await asyncio.wait_for(got, 20)


async def test_accepted_mail_reaches_policy_sealed(place: SimpleNamespace) -> None:
    """From ingress, which has no identity, through the broker, which sees nothing."""
    trace = mail_pb2.Trace(envelope=place.envelope)
    await place.facts("ingress").publish("accepted", trace, raw=RAW, msg_id=f"{place.envelope.mail_id}:a:0")
    fact, content, wire = await first(place, "policy", "policy-accepted")
    assert fact.trace == trace
    assert content == RAW
    assert b"acme" not in wire
    assert b"eagle" not in wire


async def test_lost_bucket_is_healed_from_the_store(place: SimpleNamespace) -> None:
    """Delivery goes on with the stored mail."""
    await place.facts("ingress").publish(
        "decided", trace_from(place.header), raw=RAW, msg_id=f"{place.envelope.mail_id}:d:0"
    )
    bucket = place.buses["ingress"].bucket("factkeys")
    for key in await bucket.keys():
        await bucket.delete(key)
    fact, content, _ = await first(place, "delivery", "delivery-decided")
    assert fact.from_store
    assert fact.trace.envelope == place.envelope
    assert content == RAW


async def test_question_and_answer(place: SimpleNamespace) -> None:
    """Ingress asks, policy reads and answers, ingress reads the answer."""
    policy = place.facts("policy")
    decision = mail_pb2.Decision(tenant=place.envelope.tenant, mail_id=place.envelope.mail_id, revision=5)

    async def responder(message: Message) -> bytes:
        question = await policy.open_question(message)
        assert await question.content() == RAW
        answer: bytes = await policy.seal_answer(question, decision)
        return answer

    async with place.buses["policy"].serve("policy.decide", responder):
        assert await place.facts("ingress").ask_decide(place.envelope, RAW, timeout=10) == decision
