"""Delivery of what encryption made: the sealed content and never the mail, secret notices, TLS or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from letterlock.mail.v1 import mail_pb2

from services.common.errors import NotFound
from services.common.facts import Facts
from services.common.ids import MailId
from services.common.sealing.content import write_content
from services.common.secretmail import SecretMail, secret_key
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBus

from .conftest import ACME, World
from .sinks import Sink, sink

SEALED = b"From: alice@acme.example\r\nSubject: hello\r\n\r\nsealed bytes\r\n"


def sealing(*positions: int) -> mail_pb2.Leg:
    """A leg that a rule seals and tags."""
    leg = mail_pb2.Leg(number=1, recipients=positions, disposition=mail_pb2.DISPOSITION_DELIVER)
    leg.transforms.add(kind="seal", rule="r", settings=b"{}")
    leg.transforms.add(kind="strip", rule="r", settings=b'{"attachments": ["*"]}')
    leg.transforms.add(kind="tag", rule="r", settings=b'{"subject_prefix": "[sealed]"}')
    return leg


class Encryption:
    """The service as delivery sees it."""

    def __init__(self, world: World) -> None:
        self.world = world
        bus = InMemoryBus("encryption", world.broker)
        self.facts = Facts(bus, world.keys.fact_keys(bus.bucket("factkeys")))
        self.signer = world.keys.signer("encryption")

    async def content(
        self, trace: mail_pb2.Trace, raw: bytes, recipients: list[int], variant: int = 0, variants: int = 1
    ) -> None:
        """Store what a leg is delivered as."""
        header = mail_pb2.ContentHeader(
            tenant=ACME, mail_id=trace.envelope.mail_id, leg=1, kind="sealed", recipients=recipients, variant=variant,
            variants=variants,
        )  # fmt: skip
        await write_content(self.world.objects, self.world.keys.public, self.signer, header, raw)

    async def tell(self, trace: mail_pb2.Trace) -> None:
        """Let delivery go on."""
        trace.legs.append(1)
        await self.facts.publish("sealed", trace, raw=None, msg_id=f"{trace.envelope.mail_id}:1:s:d:0")

    async def notice(self, world: World) -> MailId:
        """Send alice a secret."""
        secret = SecretMail(world.objects, world.keys.public, self.signer, self.facts, world.directory)
        return await secret.send(
            ACME, "alice@acme.example", lambda own, now: b"Subject: secret\r\n\r\nthe password\r\n",
            seed="one", at=datetime.now(UTC),
        )  # fmt: skip


async def delivered(world: World, trace: mail_pb2.Trace, number: int = 1) -> None:
    """Wait until so many recipients have it."""

    async def all_are() -> bool:
        states = await world.states(trace)
        return [s for s, _ in states.values()] == ["delivered"] * number

    await eventually(all_are)


async def test_the_content_goes_out_and_the_mail_stays(world: World) -> None:
    """Tagged from outside; not stripped again; also after a retry."""
    encryption = Encryption(world)
    handler = Sink({"bob@b.example": "451 later"})
    async with sink(handler) as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], legs=[sealing(0)])
        await encryption.content(trace, SEALED, [0])
        await encryption.tell(trace)

        async def deferred() -> bool:
            return (await world.states(trace)).get(0, ("",))[0] == "deferred"

        await eventually(deferred)
        handler.replies.clear()
        await delivered(world, trace)
    [taken] = smart.taken
    assert taken.content.endswith(b"Subject: [sealed] hello\r\n\r\nsealed bytes\r\n")
    assert b"body" not in taken.content


async def test_each_gets_what_is_sealed_with_their_password(world: World) -> None:
    """Two contents of one leg, and none for the wrong one."""
    encryption = Encryption(world)
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example", "carol@b.example"], legs=[sealing(0, 1)])
        await encryption.content(trace, SEALED + b"for bob\r\n", [0], 0, 2)
        await encryption.content(trace, SEALED + b"for carol\r\n", [1], 1, 2)
        await encryption.tell(trace)
        await delivered(world, trace, 2)
    assert {(t.recipients[0], t.content.splitlines()[-1]) for t in smart.taken} == {
        ("bob@b.example", b"for bob"),
        ("carol@b.example", b"for carol"),
    }


async def test_without_content_nothing_leaves(world: World) -> None:
    """A fact that says sealed, and nothing there, or somebody else's object there: it waits."""
    encryption = Encryption(world)
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        absent = await world.accept(["bob@b.example"], legs=[sealing(0)])
        planted = await world.accept(["carol@b.example"], legs=[sealing(0)])
        encryption.signer = world.keys.signer("ingress")
        await encryption.content(planted, SEALED, [0])
        for trace in (absent, planted):
            await encryption.tell(trace)
        plain = await world.accept(["dave@b.example"])
        await delivered(world, plain)
    assert [t.recipients for t in smart.taken] == [["dave@b.example"]]


async def test_a_secret_notice_is_delivered_once_and_then_gone(world: World) -> None:
    """By reference; nothing of it on the bus; deleted when it is delivered, and a repetition sends nothing."""
    encryption = Encryption(world)
    async with sink() as hop, world.running():
        world.hop = hop.address
        mail_id = await encryption.notice(world)
        await eventually(lambda: hop.taken)

        async def gone() -> bool:
            try:
                await world.objects.head(secret_key(ACME, mail_id))
            except NotFound:
                return True
            return False

        await eventually(gone)
        message = next(m for m in world.broker.sent if m.subject == f"mail.decided.{ACME}")
        again = (await world.facts.open(message)).trace
        await encryption.facts.publish("decided", again, raw=None, msg_id=f"{mail_id}:d:7")
        plain = await world.accept(["dave@acme.example"])
        await delivered(world, plain)
    assert [t.recipients for t in hop.taken] == [["alice@acme.example"], ["dave@acme.example"]]
    assert b"the password" in hop.taken[0].content
    assert hop.taken[0].sender == "<>"
    assert all(b"the password" not in m.data for m in world.broker.sent)
    stored = [await world.objects.get(m.key) async for m in world.objects.list("")]
    assert all(b"the password" not in data for data in stored)


async def test_a_secret_notice_survives_a_deferral(world: World) -> None:
    """It lies there until the next hop takes it."""
    encryption = Encryption(world)
    handler = Sink({"alice@acme.example": "451 later"})
    async with sink(handler) as hop, world.running():
        world.hop = hop.address
        mail_id = await encryption.notice(world)

        async def deferred() -> bool:
            told = await world.outcomes()
            return any(o.mail_id == mail_id and o.state == mail_pb2.STATE_DEFERRED for o in told)

        await eventually(deferred)
        await world.objects.head(secret_key(ACME, mail_id))
        handler.replies.clear()
        await eventually(lambda: hop.taken)


async def test_what_demands_tls_never_leaves_without(world: World) -> None:
    """Whatever the route says by now, and whatever TLS the next hop cannot prove: it is deferred."""
    encryption = Encryption(world)
    leg = mail_pb2.Leg(number=1, recipients=[0], disposition=mail_pb2.DISPOSITION_DELIVER)
    leg.transforms.add(kind="seal", rule="r", settings=b"{}")
    async with sink() as smart, world.running():
        world.smarthost = smart.address
        trace = await world.accept(["bob@b.example"], legs=[leg])
        del trace.decision.legs[0].transforms[:]
        trace.decision.legs[0].transforms.add(kind="require_tls", rule="r")
        await encryption.tell(trace)

        async def deferred() -> bool:
            return (await world.states(trace)).get(0) == ("deferred", "tls_unavailable")

        await eventually(deferred)
    assert smart.taken == []


async def test_what_cannot_be_sealed_goes_back_to_its_sender(world: World) -> None:
    """Encryption gives the leg back: nobody gets the mail, its sender hears why."""
    encryption = Encryption(world)
    async with sink() as hop, world.running():
        world.hop = world.smarthost = hop.address
        trace = await world.accept(["bob@b.example"], legs=[sealing(0)])
        trace.decision.legs[0].disposition = mail_pb2.DISPOSITION_RETURN
        trace.decision.legs[0].text = "the mail is to go out sealed, but it cannot be sealed"
        await encryption.tell(trace)
        await eventually(lambda: hop.taken)

        async def returned() -> bool:
            return (await world.states(trace)).get(0) == ("returned", "policy_returned")

        await eventually(returned)
    [report] = hop.taken
    assert report.recipients == ["alice@acme.example"]
    assert b"cannot be sealed" in report.content
