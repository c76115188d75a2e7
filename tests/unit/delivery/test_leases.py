"""Two delivery processes never have the same mail in their hands."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from services.common.bus import Later
from services.common.errors import Unavailable
from services.common.ids import MailId, TenantId
from services.common.testing import eventually
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.delivery.adapters.leases import BUCKET, BucketLeases
from tests.unit.delivery.conftest import ACME, RAW, World
from tests.unit.delivery.sinks import Sink, sink
from tests.unit.delivery.test_deliver import settled

MAIL = MailId.new()
LIFE = timedelta(seconds=20)


class Clock:
    """A time of day that tests move."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def two(broker: InMemoryBroker, clock: Clock, life: timedelta = LIFE) -> tuple[BucketLeases, BucketLeases]:
    first, second = (InMemoryBus("delivery", broker).bucket(BUCKET) for _ in range(2))
    return BucketLeases(first, now=clock, life=life), BucketLeases(second, now=clock, life=life)


async def test_a_mail_is_held_by_one_until_it_is_left() -> None:
    """Another mail, or the same id of another tenant, is another one."""
    first, second = two(InMemoryBroker(), Clock())
    async with first.hold(ACME, MAIL, fresh=False):
        with pytest.raises(Later):
            async with second.hold(ACME, MAIL, fresh=False):
                pass
        async with second.hold(TenantId.new(), MAIL, fresh=False), second.hold(ACME, MailId.new(), fresh=False):
            pass
    async with second.hold(ACME, MAIL, fresh=False):
        pass


async def test_what_a_killed_process_held_is_taken_over_when_its_time_is_up() -> None:
    """Not before; and by one of two."""
    broker, clock = InMemoryBroker(), Clock()
    first, second = two(broker, clock)
    held = first.hold(ACME, MAIL, fresh=False)
    await held.__aenter__()
    clock.now += LIFE - timedelta(seconds=1)
    with pytest.raises(Later):
        async with second.hold(ACME, MAIL, fresh=False):
            pass
    clock.now += timedelta(seconds=1)
    async with second.hold(ACME, MAIL, fresh=False):
        with pytest.raises(Later):
            async with two(broker, clock)[0].hold(ACME, MAIL, fresh=False):
                pass
    await held.__aexit__(None, None, None)


async def test_long_work_keeps_its_lease_and_long_work_on_fresh_mail_takes_one() -> None:
    """Renewed while it lasts."""
    broker, clock = InMemoryBroker(), Clock()
    first, second = two(broker, clock, timedelta(milliseconds=30))
    entries = broker.buckets[BUCKET].entries
    for fresh in (False, True):
        async with first.hold(ACME, MAIL, fresh=fresh):
            await eventually(lambda: entries.get(f"{ACME}.{MAIL}") and entries[f"{ACME}.{MAIL}"].value)
            before = entries[f"{ACME}.{MAIL}"].revision
            clock.now += timedelta(milliseconds=25)
            await eventually(lambda before=before: entries[f"{ACME}.{MAIL}"].revision > before)  # type: ignore[misc]
            clock.now += timedelta(milliseconds=25)
            with pytest.raises(Later):
                async with second.hold(ACME, MAIL, fresh=False):
                    pass
        assert entries[f"{ACME}.{MAIL}"].value is None


async def test_quick_work_on_fresh_mail_costs_the_broker_nothing() -> None:
    """And without the broker nothing else begins."""
    broker = InMemoryBroker()
    first, _ = two(broker, Clock())
    async with first.hold(ACME, MAIL, fresh=True):
        pass
    assert broker.buckets[BUCKET].entries == {}
    broker.up = False
    with pytest.raises(Unavailable):
        async with first.hold(ACME, MAIL, fresh=False):
            pass


class Slow(Sink):
    """Takes a mail when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        """Wait before the last reply."""
        self.reached.set()
        await self.go.wait()
        return await super().handle_DATA(server, session, envelope)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", ["swept", "retried"])
async def test_two_processes_send_one_mail_once(way: str) -> None:
    """One is still sending when the other is given the same mail: by the sweeper, or by an operator's word."""
    handler = Slow()
    first = World().with_config(fresh_for=timedelta(0))
    second = World(first.config, keys=first.keys, objects=first.objects, broker=first.broker)
    async with AsyncExitStack() as stack:
        smart = await stack.enter_async_context(sink(handler))
        first.smarthost = second.smarthost = smart.address
        await stack.enter_async_context(first.running())
        if way == "retried":
            handler.replies["bob@b.example"] = "451 4.2.1 later"
        trace = await first.accept(["bob@b.example"])
        mail_id = MailId.parse(trace.envelope.mail_id)
        if way == "retried":
            await settled(first, trace, "deferred")
            handler.replies.clear()
        await asyncio.wait_for(handler.reached.wait(), 20)
        entries = first.broker.buckets[BUCKET].entries
        await eventually(lambda: entries.get(f"{ACME}.{mail_id}") and entries[f"{ACME}.{mail_id}"].value)
        await stack.enter_async_context(second.running())
        for number in range(1, 5):
            await first.tell.publish("decided", trace, raw=RAW, msg_id=f"{mail_id}:d:{number}")
        queue = first.broker.queues["delivery-decided"]
        await eventually(lambda: sum(queue.deliveries.values()) > 6)
        handler.go.set()
        await settled(first, trace, "delivered")
        await eventually(lambda: not queue.open)
        assert len(smart.taken) == 1
