"""Who may do what on the broker: the server itself refuses strangers and wrong services.

These go past our adapter's own checks, with the raw client and the real keys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import nats.errors
import nkeys
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.bus import Entry, Message
from services.common.bus.connection import Connection
from services.common.bus.streams import ACCESS, BUCKETS, CONSUMERS, SETUP, STREAMS, USERS, inbox_prefix
from services.common.errors import Denied, NoResponders
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from services.common.testing.broker import Broker, running_broker

ACME = TenantId.new()
SERVICES = tuple(ACCESS)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker with the table's users."""
    async with running_broker(tmp_path) as running:
        yield running


class Raw:
    """A user's connection without any of our manners; remembers what the server refused."""

    def __init__(self, client: Client, refused: list[str]) -> None:
        self.client, self.refused = client, refused

    async def allowed_to_subscribe(self, subject: str, queue: str = "") -> bool:
        """Whether the server lets it listen."""
        before = len(self.refused)
        await self.client.subscribe(subject, queue=queue, cb=_ignore)
        await self.barrier()
        return len(self.refused) == before

    async def allowed_to_publish(self, subject: str) -> bool:
        """Whether the server takes a message; what it is does not matter."""
        before = len(self.refused)
        await self.client.publish(subject, b"{}")
        await self.barrier()
        return len(self.refused) == before

    async def barrier(self) -> None:
        """Wait until the server has judged what was sent: twice, for nats-py's PING overtakes what is buffered."""
        await self.client.flush(5)
        await self.client.flush(5)


async def _ignore(_: Msg) -> None:
    return None


@pytest.fixture
async def raw(broker: Broker) -> AsyncIterator[dict[str, Raw]]:
    """Every user, connected with its own key."""
    users: dict[str, Raw] = {}
    for user in USERS:
        refused: list[str] = []

        async def note(error: Exception, refused: list[str] = refused) -> None:
            refused.append(str(error))

        client = Client()
        await client.connect(
            broker.url,
            nkeys_seed=str(broker.keys / f"{user}.nk"),
            inbox_prefix=inbox_prefix(user),
            error_cb=note,
            allow_reconnect=False,
        )
        users[user] = Raw(client, refused)
    yield users
    for user in users.values():
        await user.client.close()


async def listeners(raw: dict[str, Raw], subject: str) -> set[str]:
    """The users that may listen to a subject, in a queue group or not."""
    return {
        name
        for name, user in raw.items()
        if await user.allowed_to_subscribe(subject) or await user.allowed_to_subscribe(subject, "any")
    }


async def publishers(raw: dict[str, Raw], subject: str) -> set[str]:
    """The users that may publish on a subject."""
    return {name for name, user in raw.items() if await user.allowed_to_publish(subject)}


async def test_a_stranger_cannot_connect(broker: Broker, tmp_path: Path) -> None:
    """Neither without a key, nor with a key of its own, nor with a name and a password."""
    seed = tmp_path / "stranger.nk"
    seed.write_bytes(bytes(nkeys.encode_seed(b"s" * 32, nkeys.PREFIX_BYTE_USER)))
    for options in ({}, {"nkeys_seed": str(seed)}, {"user": "policy", "password": "policy"}, {"token": "policy"}):
        client = Client()
        with pytest.raises((nats.errors.Error, nats.errors.AuthorizationError)):
            await asyncio.wait_for(
                client.connect(broker.url, allow_reconnect=False, error_cb=_quiet, **options),  # type: ignore[arg-type]
                10,
            )
        assert not client.is_connected


async def _quiet(_: Exception) -> None:
    return None


async def test_only_policy_may_listen_to_the_question(raw: dict[str, Raw]) -> None:
    """Whoever listens to `policy.decide`, alone, in its group or by a wildcard, could answer it."""
    assert await listeners(raw, "policy.decide") == {"policy"}
    assert await listeners(raw, "policy.>") == set()
    assert await listeners(raw, "policy.*") == set()
    assert await listeners(raw, ">") == set()
    assert await listeners(raw, "*.>") == set()


async def test_only_ingress_may_ask(raw: dict[str, Raw]) -> None:
    """Nobody else gets decisions, nor can they keep policy busy."""
    assert await publishers(raw, "policy.decide") == {"ingress"}


async def test_nobody_answers_a_question_unasked(broker: Broker, raw: dict[str, Raw]) -> None:
    """Nobody may write into ingress's inbox; policy may once, only to what it was asked."""
    assert await publishers(raw, f"{inbox_prefix('ingress')}.x.1") == set()
    ingress, policy = await broker.connect("ingress"), await broker.connect("policy")

    async def answer(message: Message) -> bytes:
        return message.data

    async with policy.serve("policy.decide", answer):
        assert await ingress.request("policy.decide", b"q", timeout=5) == b"q"
    assert await publishers(raw, f"{inbox_prefix('ingress')}.x.1") == set()


async def test_nobody_reads_another_services_inbox(raw: dict[str, Raw]) -> None:
    """Answers, and what consumers are given, go to inboxes."""
    for service in USERS:
        assert await listeners(raw, f"{inbox_prefix(service)}.>") == {service}
    assert await listeners(raw, "_INBOX.>") == set()


async def test_only_audit_reads_the_audit_log(raw: dict[str, Raw]) -> None:
    """Every service may write entries; none but audit may listen to them or take them from the stream."""
    assert await listeners(raw, "audit.>") == {"audit"}
    assert await listeners(raw, f"audit.entry.{ACME}") == {"audit"}
    assert await publishers(raw, f"audit.entry.{ACME}") == set(SERVICES)
    assert await publishers(raw, "$JS.API.DIRECT.GET.AUDIT") == {"audit", SETUP}  # to its own inbox
    for subject in ("$JS.API.STREAM.MSG.GET.AUDIT", "$JS.API.CONSUMER.CREATE.AUDIT", "$JS.API.STREAM.PURGE.AUDIT"):
        assert await publishers(raw, subject) == {SETUP}


async def test_facts_are_published_by_those_who_may_say_them(raw: dict[str, Raw]) -> None:
    """The table of the design, and nobody listens to facts outside of a consumer."""
    assert await publishers(raw, f"mail.accepted.{ACME}") == {"ingress", "archive"}
    # Those who decide, and those who send system mail.
    assert await publishers(raw, f"mail.decided.{ACME}") == {
        "ingress", "policy", "delivery", "archive", "quarantine", "encryption",
    }  # fmt: skip
    assert await publishers(raw, f"mail.released.{ACME}") == {"quarantine"}
    assert await publishers(raw, f"mail.sealed.{ACME}") == {"encryption"}
    assert await publishers(raw, f"mail.outcome.{ACME}.{MailId.new()}") == {
        "ingress", "policy", "quarantine", "encryption", "delivery", "archive",
    }  # fmt: skip
    assert await publishers(raw, f"delivery.schedule.{ACME}.m.1") == {"delivery"}
    assert await publishers(raw, f"delivery.retry.{ACME}") == set()
    assert await publishers(raw, f"quarantine.schedule.{ACME}.m.1") == {"quarantine"}
    for subject in ("mail.>", f"mail.accepted.{ACME}", f"mail.decided.{ACME}", "delivery.>", "quarantine.>", "dead.>"):
        assert await listeners(raw, subject) == set()


async def test_a_consumer_is_taken_by_its_service_alone(raw: dict[str, Raw]) -> None:
    """Fetching, asking about it, acking and burying are its own service's; changing it is nobody's but setup's."""
    for name, consumer in CONSUMERS.items():
        own = {consumer.service}
        assert await publishers(raw, f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{name}") == {*own, SETUP}
        assert await publishers(raw, f"$JS.ACK.{consumer.stream}.{name}.1.1.1.1.0") == own
        assert await publishers(raw, f"$JS.ACK._.acc.{consumer.stream}.{name}.1.1.1.1.0.x") == own
        assert await publishers(raw, f"dead.{name}.{consumer.subject.replace('*', 'x')}") == own
        assert await publishers(raw, f"$JS.API.CONSUMER.DELETE.{consumer.stream}.{name}") == {SETUP}


async def test_streams_are_changed_by_setup_alone(raw: dict[str, Raw]) -> None:
    """No service creates, changes, empties or reads around its consumers."""
    for name in (*STREAMS, *(f"KV_{bucket}" for bucket in BUCKETS)):
        for verb in ("CREATE", "UPDATE", "PURGE", "DELETE", "MSG.GET", "MSG.DELETE", "SNAPSHOT"):
            assert await publishers(raw, f"$JS.API.STREAM.{verb}.{name}") == {SETUP}
        assert await publishers(raw, f"$JS.API.CONSUMER.CREATE.{name}.x") == {SETUP}


async def test_buckets_are_written_by_those_who_own_what_is_in_them(raw: dict[str, Raw]) -> None:
    """What faces the internet cannot change the directory that the others believe."""
    assert not {"ingress", "portal"} & await publishers(raw, "$KV.control.x")
    assert await publishers(raw, "kv.control.x") == set()
    assert await publishers(raw, "$KV.factkeys.x") == {
        "ingress", "policy", "quarantine", "encryption", "delivery", "archive", "admin", "audit",
    }  # fmt: skip
    assert await publishers(raw, "$KV.queue.x") == {"delivery"}
    assert await listeners(raw, "kv.queue.>") == {"delivery"}
    assert await publishers(raw, "$JS.API.DIRECT.GET.KV_queue") == {"delivery", SETUP}


async def test_setup_reads_no_fact_and_answers_no_question(raw: dict[str, Raw]) -> None:
    """The administrator of the broker has no ear on it."""
    setup = raw[SETUP]
    for subject in ("policy.decide", "audit.>", "mail.>", "kv.>", "$SYS.>"):
        assert not await setup.allowed_to_subscribe(subject)
    for subject in (f"mail.accepted.{ACME}", "policy.decide", "$KV.control.x"):
        assert not await setup.allowed_to_publish(subject)


async def _take(_: Message) -> None:
    return None


@pytest.mark.parametrize("service", [s for s in SERVICES if s != "policy"])
async def test_a_wrong_service_that_serves_the_question_is_never_asked(broker: Broker, service: str) -> None:
    """Through our own adapter, too: ingress hears that nobody serves."""
    ingress, wrong = await broker.connect("ingress"), await broker.connect(service)

    async def answer(_: Message) -> bytes:
        return b"evil"

    with pytest.raises(Denied):
        async with wrong.serve("policy.decide", answer):
            pass
    with pytest.raises(NoResponders):
        await ingress.request("policy.decide", b"q", timeout=5)
    with pytest.raises(Denied):
        async with wrong.consume("policy-accepted", _take):
            pass


async def test_a_denied_call_is_told_at_once(broker: Broker) -> None:
    """`Denied` comes from the server's refusal, long before the deadline."""
    portal = await Connection.open(broker.url, "portal", keys=broker.keys)
    began = asyncio.get_running_loop().time()
    for subject in (f"mail.accepted.{ACME}", "$JS.API.STREAM.LIST", f"mail.outcome.{ACME}.{MailId.new()}"):
        with pytest.raises(Denied):
            await portal.request(subject, b"", timeout=30)
    assert asyncio.get_running_loop().time() - began < 5
    await portal.close()


async def test_a_wrong_service_cannot_fetch_from_a_consumer(broker: Broker, raw: dict[str, Raw]) -> None:
    """The fetch is refused and nothing comes."""
    ingress = await broker.connect("ingress")
    await ingress.publish(f"mail.accepted.{ACME}", b"secret", msg_id="1")
    got: list[Msg] = []

    async def keep(message: Msg) -> None:
        got.append(message)

    await raw["portal"].client.subscribe(f"{inbox_prefix('portal')}.loot", cb=keep)
    ask = json.dumps({"batch": 1, "no_wait": True}).encode()
    await raw["portal"].client.publish(
        "$JS.API.CONSUMER.MSG.NEXT.ACCEPTED.policy-accepted", ask, reply=f"{inbox_prefix('portal')}.loot"
    )
    await raw["portal"].barrier()
    assert got == []
    assert raw["portal"].refused


def test_no_ones_permissions_hold_a_bare_wildcard() -> None:
    """An empty or boundless list would mean: everything."""
    for name, user in USERS.items():
        assert user.publish, name
        assert user.subscribe, name
        for subject in (*user.publish, *user.subscribe):
            assert not subject.startswith((">", "*")), (name, subject)


async def test_the_broker_cannot_be_made_to_speak_in_anothers_name(broker: Broker, raw: dict[str, Raw]) -> None:
    """An answer of the broker that a service directs at a subject it may not use is believed by nobody."""
    ingress, delivery, admin = [await broker.connect(name) for name in ("ingress", "delivery", "admin")]
    policy, asked, taken = await broker.connect("policy"), list[Message](), list[Message]()
    mail = MailId.new()
    await ingress.bucket("factkeys").put("evil", b"evil")
    revision = await admin.bucket("control").put("tenant", b"good")
    watch = delivery.bucket("control").watch()
    assert [await anext(watch), await anext(watch)] == [Entry("tenant", b"good", revision), None]

    async def answer(message: Message) -> bytes:
        asked.append(message)
        return message.data

    async def take(message: Message) -> None:
        taken.append(message)

    async with policy.serve("policy.decide", answer), delivery.consume("delivery-released", take):
        for target in (
            f"mail.released.{ACME}", f"mail.outcome.{ACME}.{mail}", "policy.decide", "$KV.control.tenant",
            f"delivery.retry.{ACME}",
        ):  # fmt: skip
            await raw["ingress"].client.publish("$JS.API.DIRECT.GET.KV_factkeys.$KV.factkeys.evil", b"", reply=target)
        await raw["ingress"].barrier()
        # Each got something real after the forgery, so the forgery has passed.
        quarantine = await broker.connect("quarantine")
        await quarantine.publish(f"mail.released.{ACME}", b"real", msg_id="1")
        await eventually(lambda: taken)
        assert await ingress.request("policy.decide", b"real", timeout=5) == b"real"
    assert [m.data for m in taken] == [b"real"]
    assert [m.data for m in asked] == [b"real"]
    assert await delivery.pending(f"mail.outcome.{ACME}.{mail}") == []
    assert await admin.bucket("control").get("tenant") is None
    told = await asyncio.wait_for(anext(watch), 10)
    assert told is not None
    assert told.value is None
    assert await admin.bucket("control").create("tenant", b"restored") > revision
    await watch.aclose()  # type: ignore[attr-defined]
