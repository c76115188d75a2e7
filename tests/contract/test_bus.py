"""One suite for the bus port, over a real nats-server and over the in-memory double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.common.bus import Bus, Entry, Later, Message
from services.common.bus.connection import Connection
from services.common.bus.kv import read_directly
from services.common.bus.streams import CONSUMERS, SETUP, STREAMS
from services.common.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Corrupt,
    DeadlineExceeded,
    Denied,
    InvalidInput,
    NoResponders,
    Unavailable,
)
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from services.common.testing.broker import running_broker
from services.common.testing.bus import InMemoryBroker, InMemoryBus


class Connect:
    """Gives a service its bus, `await connect("ingress")`, and what stands in the dead-letter stream."""

    def __init__(self, connect: Callable[[str], Awaitable[Bus]], dead: Callable[[], Awaitable[list[Dead]]]) -> None:
        self._connect, self.dead = connect, dead

    async def __call__(self, service: str) -> Bus:
        return await self._connect(service)


type Dead = tuple[str, bytes, dict[str, str]]

ACME, OTHER = TenantId.new(), TenantId.new()
FAST = {n: replace(c, backoff=(0.05,), max_deliver=3, ack_wait=1.0) for n, c in CONSUMERS.items()}
SMALL = {**STREAMS, "DECIDED": replace(STREAMS["DECIDED"], max_per_subject=3)}


@pytest.fixture(params=["nats-server", "memory"])
async def connect(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Connect]:
    """Gives a service its bus: `await connect("ingress")`."""
    if request.param == "memory":
        broker = InMemoryBroker(consumers=FAST, streams=SMALL)

        async def in_memory(service: str) -> Bus:
            return InMemoryBus(service, broker)

        async def dead_in_memory() -> list[Dead]:
            return [(m.subject, m.data, dict(m.headers)) for m in broker.kept("dead.>")]

        yield Connect(in_memory, dead_in_memory)
        return
    async with running_broker(tmp_path, consumers=FAST, streams=SMALL) as running:

        async def dead() -> list[Dead]:
            setup = await Connection.open(running.url, SETUP, keys=running.keys)
            found = await read_directly(setup, "DEAD", "dead.>", limit=100)
            await setup.close()
            return [(headers["Nats-Subject"], message.data, headers) for headers, message in found]

        yield Connect(running.connect, dead)


class Inbox:
    """A handler that keeps what it got and does as the test says."""

    def __init__(self, act: Callable[[Message], Awaitable[None]] | None = None) -> None:
        self.got: list[Message] = []
        self._act = act

    async def __call__(self, message: Message) -> None:
        self.got.append(message)
        if self._act:
            await self._act(message)


async def test_a_published_message_reaches_its_consumer_with_its_headers(connect: Connect) -> None:
    """Subject, data and headers arrive as they were sent, and an acked message is not kept."""
    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox()
    await ingress.publish(f"mail.accepted.{ACME}", b"\x00\xffmail", msg_id="1:a:0", headers={"traceparent": "00-x"})
    assert await policy.lag("policy-accepted") == 1
    async with policy.consume("policy-accepted", inbox):
        await eventually(lambda: inbox.got)
        [message] = inbox.got
        await eventually(lambda: lag_is(policy, "policy-accepted", 0))
    assert (message.subject, message.data, message.deliveries) == (f"mail.accepted.{ACME}", b"\x00\xffmail", 1)
    assert message.headers["traceparent"] == "00-x"
    assert message.headers["Nats-Msg-Id"] == "1:a:0"


async def lag_is(bus: Bus, consumer: str, number: int) -> bool:
    """Whether a consumer's lag is `number`."""
    return await bus.lag(consumer) == number


async def test_a_duplicate_message_id_is_success_and_delivered_once(connect: Connect) -> None:
    """The second publish returns as the first did."""
    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox()
    for _ in range(3):
        await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="same")
    await ingress.publish(f"mail.accepted.{ACME}", b"last", msg_id="other")
    async with policy.consume("policy-accepted", inbox, concurrency=1):
        await eventually(lambda: any(m.data == b"last" for m in inbox.got))
    assert [m.data for m in inbox.got] == [b"x", b"last"]


async def test_each_consumer_of_a_subject_gets_every_message(connect: Connect) -> None:
    """A decided mail goes to delivery, quarantine and archive alike."""
    policy = await connect("policy")
    await policy.publish(f"mail.decided.{ACME}", b"d", msg_id="1:d:0")
    for name in ("delivery", "quarantine", "archive"):
        inbox = Inbox()
        async with (await connect(name)).consume(f"{name}-decided", inbox):
            await eventually(lambda inbox=inbox: inbox.got)  # type: ignore[misc]


async def test_later_is_delivered_again_and_never_counted_as_failure(connect: Connect) -> None:
    """`Later` more often than `max_deliver` does not kill the message."""

    async def later(message: Message) -> None:
        if message.deliveries <= 6:
            raise Later(0.02)

    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox(later)
    await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="1")
    async with policy.consume("policy-accepted", inbox):
        await eventually(lambda: lag_is(policy, "policy-accepted", 0))
    assert [m.deliveries for m in inbox.got] == [1, 2, 3, 4, 5, 6, 7]


async def test_a_failure_is_tried_again_then_becomes_a_dead_letter(connect: Connect) -> None:
    """After `max_deliver` failures the message stands in the dead-letter stream with its reason."""

    async def fail(_: Message) -> None:
        raise Unavailable("store away")

    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox(fail)
    await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="1:a:0", headers={"k": "v"})
    async with policy.consume("policy-accepted", inbox):
        await eventually(lambda: lag_is(policy, "policy-accepted", 0))
    assert len(inbox.got) == 3
    [(subject, data, headers)] = await connect.dead()
    assert (subject, data) == (f"dead.policy-accepted.mail.accepted.{ACME}", b"x")
    assert (headers["Letterlock-Reason"], headers["Letterlock-Msg-Id"], headers["k"]) == ("unavailable", "1:a:0", "v")


async def test_poison_becomes_a_dead_letter_at_once_and_leaves_the_others_alone(connect: Connect) -> None:
    """A failure without retry is not tried again; the next message is handled."""

    async def poison(message: Message) -> None:
        if message.data == b"bad":
            raise Corrupt("changed")
        if message.data == b"bug" and message.deliveries == 1:
            raise KeyError("unknown")

    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox(poison)
    for data in (b"bad", b"bug", b"good"):
        await ingress.publish(f"mail.accepted.{ACME}", data, msg_id=data.decode())
    async with policy.consume("policy-accepted", inbox):
        await eventually(lambda: lag_is(policy, "policy-accepted", 0))
    assert sorted(m.data for m in inbox.got) == [b"bad", b"bug", b"bug", b"good"]
    assert [(data, headers["Letterlock-Reason"]) for _, data, headers in await connect.dead()] == [(b"bad", "corrupt")]


async def test_a_long_handler_keeps_its_message(connect: Connect) -> None:
    """Work of several `ack_wait` is kept alive and the message is not given to another."""

    async def long(_: Message) -> None:
        await asyncio.sleep(2.5)  # the work itself, longer than two ack_waits

    ingress, first, second = await connect("ingress"), await connect("policy"), await connect("policy")
    slow, idle = Inbox(long), Inbox()
    await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="1")
    async with first.consume("policy-accepted", slow):
        await eventually(lambda: slow.got)
        async with second.consume("policy-accepted", idle):
            await eventually(lambda: lag_is(second, "policy-accepted", 0))
    assert (len(slow.got), len(idle.got)) == (1, 0)


async def test_concurrency_bounds_the_handlers_that_run(connect: Connect) -> None:
    """Never more handlers than asked for, and all messages are handled."""
    running, most = 0, 0

    async def count(_: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    ingress, policy, inbox = await connect("ingress"), await connect("policy"), Inbox(count)
    await asyncio.gather(*(ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id=str(i)) for i in range(60)))
    async with policy.consume("policy-accepted", inbox, concurrency=4):
        await eventually(lambda: len(inbox.got) == 60)
    assert most == 4


async def test_leaving_the_context_finishes_what_runs_and_takes_nothing_new(connect: Connect) -> None:
    """The drained handler's message is acked; what came meanwhile waits for the next member."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def wait(_: Message) -> None:
        begun.set()
        await release.wait()

    ingress, policy, inbox, after = await connect("ingress"), await connect("policy"), Inbox(wait), Inbox()
    await ingress.publish(f"mail.accepted.{ACME}", b"first", msg_id="1")
    context = policy.consume("policy-accepted", inbox)
    await context.__aenter__()
    await begun.wait()
    leaving = asyncio.create_task(context.__aexit__(None, None, None))
    await asyncio.sleep(0)
    await ingress.publish(f"mail.accepted.{ACME}", b"second", msg_id="2")
    release.set()
    await leaving
    assert [m.data for m in inbox.got] == [b"first"]
    async with policy.consume("policy-accepted", after):
        await eventually(lambda: after.got)
        await eventually(lambda: lag_is(policy, "policy-accepted", 0))
    assert [m.data for m in after.got] == [b"second"]


async def test_a_request_is_answered_by_one_member(connect: Connect) -> None:
    """Two members share the questions; each is answered once."""
    ingress, one, two, asked = await connect("ingress"), await connect("policy"), await connect("policy"), []

    async def answer(message: Message) -> bytes:
        asked.append(message.headers["n"])
        return message.data[::-1]

    async with one.serve("policy.decide", answer), two.serve("policy.decide", answer):
        answers = await asyncio.gather(
            *(ingress.request("policy.decide", b"ab", timeout=5, headers={"n": str(i)}) for i in range(20))
        )
    assert answers == [b"ba"] * 20
    assert sorted(asked, key=int) == [str(i) for i in range(20)]


async def test_a_request_that_nobody_serves_fails_at_once(connect: Connect) -> None:
    """No waiting for the deadline when there is no member, also after the last one left."""
    ingress, policy = await connect("ingress"), await connect("policy")

    async def answer(_: Message) -> bytes:
        return b""

    began = asyncio.get_running_loop().time()
    with pytest.raises(NoResponders):
        await ingress.request("policy.decide", b"", timeout=30)
    async with policy.serve("policy.decide", answer):
        assert await ingress.request("policy.decide", b"", timeout=30) == b""
    with pytest.raises(NoResponders):
        await ingress.request("policy.decide", b"", timeout=30)
    assert asyncio.get_running_loop().time() - began < 10


async def test_a_responders_failure_reaches_who_asked(connect: Connect) -> None:
    """The class and what is public travel; the rest stays."""
    ingress, policy = await connect("ingress"), await connect("policy")

    async def answer(message: Message) -> bytes:
        match message.data:
            case b"input":
                raise InvalidInput("no such rule", field="rule")
            case b"busy":
                raise Busy("secret")
            case _:
                raise KeyError("secret")

    async with policy.serve("policy.decide", answer):
        with pytest.raises(InvalidInput, match="no such rule"):
            await ingress.request("policy.decide", b"input", timeout=5)
        with pytest.raises(Busy, match="too busy"):
            await ingress.request("policy.decide", b"busy", timeout=5)
        with pytest.raises(Exception, match="internal error"):
            await ingress.request("policy.decide", b"bug", timeout=5)


async def test_a_full_member_says_busy_and_a_slow_one_misses_the_deadline(connect: Connect) -> None:
    """One runs, four wait, the sixth is told so at once; those that wait end with their deadline."""
    ingress, policy, release = await connect("ingress"), await connect("policy"), asyncio.Event()

    async def answer(_: Message) -> bytes:
        await release.wait()
        return b"done"

    async with policy.serve("policy.decide", answer, concurrency=1):
        with pytest.raises(DeadlineExceeded):
            await ingress.request("policy.decide", b"", timeout=0.1)
        asked = [asyncio.create_task(ingress.request("policy.decide", b"", timeout=10)) for _ in range(10)]
        await eventually(lambda: sum(t.done() for t in asked) == 6)
        refused = [t for t in asked if t.done()]
        waiting = [t for t in asked if not t.done()]
        assert all(isinstance(t.exception(), Busy) for t in refused)
        release.set()
        assert await asyncio.gather(*waiting) == [b"done"] * 4


async def test_a_full_tenant_leaves_the_others_free(connect: Connect) -> None:
    """The limit is per subject, the refusal is `Busy`, and acking makes room again."""
    policy, consumers = await connect("policy"), {}
    for number in range(3):
        await policy.publish(f"mail.decided.{ACME}", b"x", msg_id=f"acme{number}")
    with pytest.raises(Busy):
        await policy.publish(f"mail.decided.{ACME}", b"x", msg_id="acme3")
    await policy.publish(f"mail.decided.{OTHER}", b"x", msg_id="other0")
    for name in ("delivery", "quarantine", "encryption", "archive"):
        consumers[name] = Inbox()
        async with (await connect(name)).consume(f"{name}-decided", consumers[name]):
            await eventually(lambda name=name: len(consumers[name].got) == 4)  # type: ignore[misc]

    async def room() -> bool:
        await policy.publish(f"mail.decided.{ACME}", b"x", msg_id="acme3")
        return True

    await eventually(room)


async def test_pending_gives_what_is_kept_on_exactly_one_subject(connect: Connect) -> None:
    """Outcomes of one mail, oldest first, with their headers; none of another; gone once they are acked."""
    delivery, archive, inbox = await connect("delivery"), await connect("archive"), Inbox()
    mail, other = MailId.new(), MailId.new()
    for number in range(3):
        await delivery.publish(
            f"mail.outcome.{ACME}.{mail}", b"%d" % number, msg_id=f"{mail}:1:deferred:{number}", headers={"k": "v"}
        )
    await delivery.publish(f"mail.outcome.{ACME}.{other}", b"other", msg_id="other")
    found = await delivery.pending(f"mail.outcome.{ACME}.{mail}")
    assert [(m.data, m.headers["k"]) for m in found] == [(b"0", "v"), (b"1", "v"), (b"2", "v")]
    assert found[0].headers["Nats-Msg-Id"] == f"{mail}:1:deferred:0"
    assert await delivery.pending(f"mail.outcome.{ACME}.{MailId.new()}") == []
    async with archive.consume("archive-outcome", inbox):
        await eventually(lambda: len(inbox.got) == 4)
        await eventually(lambda: lag_is(archive, "archive-outcome", 0))
    assert await delivery.pending(f"mail.outcome.{ACME}.{mail}") == []


def soon(seconds: float) -> datetime:
    """A moment from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_a_schedule_fires_when_due_and_the_same_key_replaces_it(connect: Connect) -> None:
    """One message per key, the newest, not before its time; the past is due now."""
    delivery, inbox = await connect("delivery"), Inbox()
    subject = f"delivery.retry.{ACME}"
    began = asyncio.get_running_loop().time()
    await delivery.schedule(subject, b"early", at=soon(1.6), key="m.1")
    await delivery.schedule(subject, b"late", at=soon(2.0), key="m.1", headers={"k": "v"})
    await delivery.schedule(subject, b"past", at=soon(-60), key="m.2")
    async with delivery.consume("delivery-retry", inbox):
        await eventually(lambda: len(inbox.got) == 2)
        assert asyncio.get_running_loop().time() - began > 1.8
        await eventually(lambda: lag_is(delivery, "delivery-retry", 0))
    assert [(m.subject, m.data) for m in inbox.got] == [(subject, b"past"), (subject, b"late")]
    assert inbox.got[1].headers["k"] == "v"


async def test_a_forgotten_schedule_never_fires(connect: Connect) -> None:
    """Unscheduling is idempotent and leaves the others."""
    delivery, inbox = await connect("delivery"), Inbox()
    subject = f"delivery.retry.{ACME}"
    await delivery.schedule(subject, b"forgotten", at=soon(1.5), key="m.1")
    await delivery.schedule(subject, b"kept", at=soon(2.0), key="m.2")
    await delivery.unschedule(subject, key="m.1")
    await delivery.unschedule(subject, key="m.1")
    await delivery.unschedule(subject, key="never.was")
    async with delivery.consume("delivery-retry", inbox):
        await eventually(lambda: inbox.got)
    assert [m.data for m in inbox.got] == [b"kept"]


async def test_a_key_that_could_reach_another_schedule_is_refused(connect: Connect) -> None:
    """Wildcards, spaces and empty parts are no keys; facts take no schedules."""
    delivery = await connect("delivery")
    for key in ("", "a b", "*", ">", "a..b", "a\r\nb"):
        with pytest.raises(InvalidInput):
            await delivery.schedule(f"delivery.retry.{ACME}", b"", at=soon(1), key=key)
    with pytest.raises(InvalidInput):
        await delivery.schedule(f"mail.decided.{ACME}", b"", at=soon(1), key="k")
    with pytest.raises(InvalidInput):
        await delivery.schedule(f"delivery.retry.{ACME}", b"", at=datetime(2026, 1, 1), key="k")


async def test_a_bucket_keeps_values_and_compares_revisions(connect: Connect) -> None:
    """Put, get, create, update and delete as the port says."""
    bucket = (await connect("admin")).bucket("control")
    key = f"{ACME}/control/person/ann@acme.example"
    assert await bucket.get(key) is None
    assert await bucket.keys() == []
    first = await bucket.create(key, b"1")
    with pytest.raises(AlreadyExists):
        await bucket.create(key, b"2")
    second = await bucket.update(key, b"2", revision=first)
    with pytest.raises(Conflict):
        await bucket.update(key, b"3", revision=first)
    assert await bucket.get(key) == Entry(key, b"2", second)
    await bucket.put("other", b"x")
    assert sorted(await bucket.keys()) == sorted([key, "other"])
    await bucket.delete(key)
    await bucket.delete("never")
    assert await bucket.get(key) is None
    assert await bucket.keys() == ["other"]
    assert await bucket.create(key, b"4") > second
    with pytest.raises(InvalidInput):
        await bucket.put("a..b", b"")


async def test_a_watch_gives_what_is_there_then_every_change(connect: Connect) -> None:
    """Present entries, one None, then puts and deletes in order; what was deleted before is not told."""
    bucket = (await connect("admin")).bucket("control")
    await bucket.put("gone", b"0")
    await bucket.delete("gone")
    await bucket.put("a", b"1")
    watch = (await connect("ingress")).bucket("control").watch()
    told = [await anext(watch), await anext(watch)]
    assert [e and (e.key, e.value) for e in told] == [("a", b"1"), None]
    await bucket.put("b", b"2")
    await bucket.put("a", b"3")
    await bucket.delete("b")
    changes = [await asyncio.wait_for(anext(watch), 10) for _ in range(3)]
    assert [e and (e.key, e.value) for e in changes] == [("b", b"2"), ("a", b"3"), ("b", None)]
    await watch.aclose()  # type: ignore[attr-defined]


async def test_a_service_cannot_do_what_is_another_ones(connect: Connect) -> None:
    """The denial comes at once, as `Denied`, not as a deadline."""
    ingress = await connect("ingress")
    with pytest.raises(Denied):
        await ingress.publish(f"mail.released.{ACME}", b"x", msg_id="1")
    with pytest.raises(Denied):
        await ingress.bucket("control").put("x", b"x")
    assert ingress.connected


async def test_a_drained_bus_is_closed(connect: Connect) -> None:
    """After draining nothing is taken any more."""
    ingress = await connect("ingress")
    await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="1")
    await ingress.drain()
    assert not ingress.connected
    with pytest.raises(Unavailable):
        await ingress.publish(f"mail.accepted.{ACME}", b"x", msg_id="2")
