"""Delivery's leases on mails over a real nats-server and over the in-memory double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.common.bus import Bus, Later
from services.common.ids import MailId, TenantId
from services.common.systemmail import utc_now
from services.common.testing import eventually
from services.common.testing.broker import running_broker
from services.common.testing.bus import InMemoryBroker, InMemoryBus
from services.delivery.adapters.leases import BUCKET, BucketLeases

ACME = TenantId.new()


@pytest.fixture(params=["nats-server", "memory"])
async def buses(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    """Two delivery processes, each with its own connection and delivery's permissions."""
    if request.param == "memory":
        broker = InMemoryBroker()
        yield InMemoryBus("delivery", broker), InMemoryBus("delivery", broker)
        return
    async with running_broker(tmp_path) as running:
        yield await running.connect("delivery"), await running.connect("delivery")


async def test_of_two_processes_one_has_a_mail_and_the_other_gets_it_afterwards(buses: tuple[Bus, Bus]) -> None:
    """Again and again, by deletion and by time."""
    first, second = (BucketLeases(bus.bucket(BUCKET), now=utc_now) for bus in buses)
    mail_id = MailId.new()
    for _ in range(3):
        async with first.hold(ACME, mail_id, fresh=False):
            with pytest.raises(Later):
                async with second.hold(ACME, mail_id, fresh=False):
                    pass
        async with second.hold(ACME, mail_id, fresh=False):
            with pytest.raises(Later):
                async with first.hold(ACME, mail_id, fresh=False):
                    pass


async def test_a_lease_whose_holder_died_is_taken_over(buses: tuple[Bus, Bus]) -> None:
    """When its time is up, by the revision that was read: never by two."""
    second, mail_id = BucketLeases(buses[1].bucket(BUCKET), now=utc_now), MailId.new()
    await buses[0].bucket(BUCKET).put(f"{ACME}.{mail_id}", f"{utc_now().timestamp() + 1:.3f} dead".encode())

    async def taken() -> bool:
        with suppress(Later):
            async with second.hold(ACME, mail_id, fresh=False):
                return True
        return False

    assert not await taken()
    await eventually(taken)
