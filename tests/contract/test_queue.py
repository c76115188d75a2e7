"""The delivery queue over a real nats-server and over the in-memory double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from letterlock.delivery.v1 import delivery_pb2

from services.common.bus import Bus, Message
from services.common.ids import MailId, TenantId
from services.common.systemmail import utc_now
from services.common.testing import eventually
from services.common.testing.broker import running_broker
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.delivery.adapters.queue import BrokerQueue

ACME = TenantId.new()


@pytest.fixture(params=["nats-server", "memory"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """Delivery's own bus, with its permissions."""
    if request.param == "memory":
        yield InMemoryBus("delivery", InMemoryBroker())
        return
    async with running_broker(tmp_path) as running:
        yield await running.connect("delivery")


def state(mail_id: MailId, *, seconds: float, attempts: int = 1) -> delivery_pb2.RetryState:
    """A leg with one recipient whose next attempt is in `seconds`."""
    made = delivery_pb2.RetryState(tenant=ACME, mail_id=mail_id, leg=1)
    entry = made.recipients.add(position=0, domain="b.example", attempts=attempts)
    entry.next_attempt_at.FromDatetime(utc_now() + timedelta(seconds=seconds))
    return made


async def test_what_waits_comes_when_it_is_due_in_its_newest_form(bus: Bus) -> None:
    """A later `put` of the same leg replaces the earlier; what was removed never comes."""
    queue, gone, kept = BrokerQueue(bus), MailId.new(), MailId.new()
    heard: list[delivery_pb2.RetryState] = []

    async def hear(message: Message) -> None:
        assert message.subject == f"delivery.retry.{ACME}"
        heard.append(delivery_pb2.RetryState.FromString(message.data))

    async with bus.consume("delivery-retry", hear):
        await queue.put(state(gone, seconds=1))
        await queue.put(state(kept, seconds=3600))
        await queue.put(state(kept, seconds=2, attempts=2))
        await queue.remove(ACME, gone, 1)
        assert await queue.keys() == [f"{ACME}.{kept}.1"]
        assert await queue.keys(mail_id=gone) == []
        await eventually(lambda: heard)
    assert [(h.mail_id, h.recipients[0].attempts) for h in heard] == [(kept, 2)]


async def test_an_operators_word_comes_at_once_and_instead(bus: Bus) -> None:
    """`schedule` for now replaces the wait of an hour."""
    queue, mail_id = BrokerQueue(bus), MailId.new()
    heard: list[bool] = []

    async def hear(message: Message) -> None:
        heard.append(delivery_pb2.RetryState.FromString(message.data).fail)

    async with bus.consume("delivery-retry", hear):
        await queue.put(state(mail_id, seconds=3600))
        known = await queue.get(ACME, mail_id, 1)
        assert known is not None
        known.fail = True
        await queue.schedule(known, at=utc_now())
        await eventually(lambda: heard)
    assert heard == [True]
