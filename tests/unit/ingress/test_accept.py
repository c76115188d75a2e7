"""The accept path on real sockets: what is answered, what is stored, what is published."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from letterlock.mail.v1 import mail_pb2
from prometheus_client import REGISTRY

from services.common.errors import Busy, DeadlineExceeded, NoResponders, Unavailable
from services.common.ids import MailId
from services.common.testing.objects import InMemoryObjects
from services.ingress.core.limits import Limits
from tests.unit.ingress.conftest import ACME, House, Open, decision, until

MAIL = b"From: x@remote.example\r\nSubject: hello\r\n\r\nhello\r\n"


async def test_accepted_mail_is_durable_and_byte_exact(house: House) -> None:
    """250 names the id; the object holds the bytes, the envelope and the decision, signed by ingress."""
    async with house.client() as client:
        answer = await client.transact(MAIL, to=("bob@acme.example", "eve@acme.example"))
    assert answer.startswith("250 2.0.0 ")
    assert answer.endswith(" accepted")
    record, raw = await house.stored(answer)
    assert raw == MAIL
    assert record.writer == "ingress"
    envelope = record.envelope
    assert (envelope.sender, [r.address for r in envelope.recipients]) == (
        "x@remote.example",
        ["bob@acme.example", "eve@acme.example"],
    )
    assert {r.direction for r in envelope.recipients} == {mail_pb2.DIRECTION_INBOUND}
    assert (envelope.size, envelope.sha256) == (len(MAIL), hashlib.sha256(MAIL).digest())
    assert (envelope.origin, envelope.peer.address, envelope.peer.helo) == ("relay", "127.0.0.1", "client.example")
    assert record.decision.origin == "policy"


async def test_fact_is_published_after_the_commit(house: House) -> None:
    """The fact carries envelope, decision and the mail."""
    async with house.client() as client:
        answer = await client.transact(MAIL)
        await until(lambda: len(house.publisher.facts) == 1)
    trace, raw = house.publisher.facts[0]
    assert trace.envelope.mail_id == answer.split()[2]
    assert trace.HasField("decision")
    assert not trace.blob
    assert raw == MAIL


async def test_large_mail_goes_to_a_blob(house: House) -> None:
    """Beyond 512 KiB the body is a sealed blob, its hash in the signed envelope, and nothing is inline."""
    content = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 64 * 1024 + b"\r\n"
    async with house.client() as client:
        answer = await client.transact(content)
    record, raw = await house.stored(answer)
    assert record.blob
    assert raw == content
    assert house.decider.asked[0][1] is None


async def test_refusal_for_all_is_550_with_the_rules_text(house: House) -> None:
    """Nothing is kept of a mail that policy refuses for everybody."""

    async def refuse(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        return decision(envelope, ([0], mail_pb2.DISPOSITION_REFUSE, "no\r\nthanks"))

    house.decider.answer = refuse
    async with house.client() as client:
        assert await client.transact(MAIL) == "550 5.7.1 no thanks"
        assert (await client.transact(MAIL)).startswith("550")
    assert not house.objects.objects
    assert not house.publisher.facts


@pytest.mark.parametrize("size", [10, 700_000])
async def test_refused_attempt_is_kept_where_the_tenant_asks(open_house: Open, size: int) -> None:
    """`keep_refused`: the attempt lies beside the mails with its body, and no mail or blob is left."""
    content = b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n"

    async def refuse(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        return decision(envelope, ([0], mail_pb2.DISPOSITION_REFUSE, "no"))

    async with open_house(acme={"keep_refused": True}) as house:
        house.decider.answer = refuse
        async with house.client() as client:
            assert await client.transact(content) == "550 5.7.1 no"
        assert not house.mails()
        assert not house.blobs()
        key = next(k for k in house.objects.objects if "/refused/" in k and not k.endswith(".blob"))
        record, raw = await house.opened(ACME, MailId(key.rpartition("/")[2]), key)
        assert raw == content
        assert record.decision.legs[0].text == "no"


async def test_refusal_for_some_is_accepted(house: House) -> None:
    """A refusal of one recipient is the pipeline's business, not the dialogue's."""

    async def refuse_one(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        return decision(envelope, ([0], mail_pb2.DISPOSITION_REFUSE, "no"), ([1], mail_pb2.DISPOSITION_DELIVER, ""))

    house.decider.answer = refuse_one
    async with house.client() as client:
        assert (await client.transact(MAIL, to=("a@acme.example", "b@acme.example"))).startswith("250 2.0.0")


async def test_doubt_is_451(house: House) -> None:
    """A decision of origin `tempfail` asks the peer to come back, and keeps nothing."""

    async def doubt(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        return mail_pb2.Decision(tenant=envelope.tenant, mail_id=envelope.mail_id, origin="tempfail")

    house.decider.answer = doubt
    async with house.client() as client:
        assert (await client.transact(MAIL)).startswith("451 4.7.1")
    assert not house.objects.objects


@pytest.mark.parametrize("error", [NoResponders(), Unavailable(), RuntimeError("nats://user:pw@host")])
@pytest.mark.parametrize("size", [10, 700_000])
async def test_no_policy_is_451_and_nothing_stays(house: House, error: Exception, size: int) -> None:
    """Nobody answers, or something unforeseen happens: 451 without a word of the reason, no blob left."""

    async def fail(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        raise error

    house.decider.answer = fail
    async with house.client() as client:
        answer = await client.transact(b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n")
    assert answer == "451 4.3.0 temporary failure, please try again later"
    assert not house.objects.objects


async def test_decision_that_is_late_leaves_the_mail_undecided(house: House) -> None:
    """Past the deadline the mail is committed without a decision and told as accepted."""

    async def late(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        raise DeadlineExceeded

    house.decider.answer = late
    async with house.client() as client:
        record, _ = await house.stored(await client.transact(MAIL))
        await until(lambda: len(house.publisher.facts) == 1)
    assert not record.HasField("decision")
    assert not house.publisher.facts[0][0].HasField("decision")


async def test_busy_policy_is_asked_once_more(house: House) -> None:
    """The second member may have room; when it has none either, the queue decides."""
    answers: list[Exception | None] = [Busy(), None, Busy(), Busy()]

    async def busy(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        error = answers.pop(0)
        if error:
            raise error
        return decision(envelope)

    house.decider.answer = busy
    async with house.client() as client:
        first, _ = await house.stored(await client.transact(MAIL))
        second, _ = await house.stored(await client.transact(MAIL))
    assert first.HasField("decision")
    assert not second.HasField("decision")


async def test_decision_about_another_mail_is_not_believed(house: House) -> None:
    """A decision with a wrong id, or one that forgets a recipient, is a failure of ours."""

    async def other(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        answer = decision(envelope)
        answer.mail_id = "01JD0000000000000000000009"
        return answer

    async def forgets(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        return decision(envelope, ([], mail_pb2.DISPOSITION_DELIVER, ""))

    async with house.client() as client:
        for answer in (other, forgets):
            house.decider.answer = answer
            assert (await client.transact(MAIL)).startswith("451 4.3.0")
    assert not house.objects.objects


@pytest.mark.parametrize("switch", ["full", "read_only", "unavailable"])
@pytest.mark.parametrize("size", [10, 700_000])
async def test_store_trouble_is_451_then_recovers(house: House, switch: str, size: int) -> None:
    """A full or absent store is 451; when it is back, mail flows, and no half of a mail is left."""
    content = b"Subject: s\r\n\r\n" + b"x" * size + b"\r\n"
    async with house.client() as client:
        setattr(house.objects, switch, True)
        assert (await client.transact(content)).startswith("451 4.3.0")
        setattr(house.objects, switch, False)
        assert not house.objects.objects
        assert (await client.transact(content)).startswith("250 2.0.0")


async def test_full_store_at_commit_takes_the_blob_away(open_house: Open) -> None:
    """The blob fits and the mail's object does not: neither stays."""

    class Store(InMemoryObjects):
        async def create(self, key: str, data: bytes) -> None:
            if "/mail/" in key:
                raise Busy
            await super().create(key, data)

    async with open_house(objects=Store()) as house, house.client() as client:
        answer = await client.transact(b"Subject: s\r\n\r\n" + b"x" * 700_000 + b"\r\n")
        assert answer.startswith("451 4.3.0")
        assert not house.objects.objects


async def test_uncertain_commit_keeps_the_blob(open_house: Open) -> None:
    """The store may have the mail although it says it has not: its body must stay."""

    class Store(InMemoryObjects):
        async def create(self, key: str, data: bytes) -> None:
            await super().create(key, data)
            if "/mail/" in key:
                raise Unavailable

    async with open_house(objects=Store()) as house, house.client() as client:
        answer = await client.transact(b"Subject: s\r\n\r\n" + b"x" * 700_000 + b"\r\n")
        assert answer.startswith("451 4.3.0")
        assert len(house.blobs()) == len(house.mails()) == 1


async def test_failed_publication_changes_nothing_for_the_peer(house: House) -> None:
    """After the commit the answer is 250; the sweeper will tell."""
    house.publisher.error = Unavailable()
    async with house.client() as client:
        assert (await client.transact(MAIL)).startswith("250 2.0.0")
    assert len(house.mails()) == 1


async def test_each_mail_of_a_session_has_its_own_id(house: House) -> None:
    """A session may bring many mails."""
    async with house.client() as client:
        answers = {(await client.transact(MAIL)).split()[2] for _ in range(5)}
    assert len(answers) == 5


async def test_loop_is_refused(house: House) -> None:
    """More than 50 Received lines: 554 5.4.6; 50 are fine, and those in the body do not count."""
    hop = b"Received: from a by b; Tue, 24 Nov 2026 06:00:00 +0000\r\n"
    async with house.client() as client:
        assert (await client.transact(hop * 51 + b"\r\nx\r\n")).startswith("554 5.4.6")
        assert (await client.transact(hop * 50 + b"\r\n" + hop * 20)).startswith("250")


async def test_endless_header_is_refused(house: House) -> None:
    """A header of more than 256 KiB is 552 5.3.4, whether it ends or not."""
    line = b"X-Filler: " + b"y" * 800 + b"\r\n"
    async with house.client() as client:
        assert (await client.transact(line * 400 + b"\r\nx\r\n")).startswith("552 5.3.4")
        assert (await client.transact(line * 400)).startswith("552 5.3.4")
        assert (await client.transact(line * 1400)).startswith("552 5.3.4")
        assert (await client.transact(MAIL)).startswith("250")
    assert len(house.objects.objects) == 1


async def test_drain_waits_for_the_mail_under_way(open_house: Open) -> None:
    """SIGTERM in the middle of an accept: the peer gets its 250, then 421; new connections are refused."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(envelope: mail_pb2.Envelope, raw: bytes | None) -> mail_pb2.Decision:
        asked.set()
        await gate.wait()
        return decision(envelope)

    async with open_house(limits=Limits()) as house:
        house.decider.answer = slow
        async with house.client() as client, house.client() as idle:
            mail = asyncio.create_task(client.transact(MAIL))
            await asked.wait()
            drained = asyncio.create_task(house.server.drain(10))
            assert (await idle.hear()).startswith("421 4.3.2")
            assert await idle.hear() == ""
            assert not drained.done()
            gate.set()
            assert (await mail).startswith("250 2.0.0")
            assert (await client.hear()).startswith("421 4.3.2")
            await drained
        with pytest.raises(OSError, match=r"refused|failed"):
            async with house.client():
                pass
        assert len(house.publisher.facts) == 1


async def test_a_refused_mail_is_counted_as_refused_and_not_as_a_failure_of_ours(house: House) -> None:
    """What a stranger sends cannot make our error rate rise."""

    def refused() -> float:
        labels = {"service": "ingress", "event": "refused", "tenant": ACME}
        return REGISTRY.get_sample_value("letterlock_events_total", labels) or 0.0

    def failures() -> set[tuple[str, float]]:
        (family,) = [f for f in REGISTRY.collect() if f.name == "letterlock_stage_errors"]
        return {(s.labels["code"], s.value) for s in family.samples if s.labels["service"] == "ingress"}

    before = refused(), failures()
    async with house.client() as client:
        answer = await client.transact(b"Subject: bare\n\n\x00\r\n")
    assert answer.startswith("550 5.5.2")
    assert (refused(), failures()) == (before[0] + 1, before[1])
