"""What quarantine stores, over every store; and a process that dies after any write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from letterlock.mail.v1 import mail_pb2

from services.common.errors import AlreadyExists, Conflict, Error, Unavailable
from services.common.ids import MailId
from services.common.objects import ObjectStore, open_store
from services.common.testing.keys import FakeKeys
from services.common.testing.objects import InMemoryObjects
from services.quarantine.adapters.settings import StoredSettings
from services.quarantine.adapters.store import StoredHolds
from services.quarantine.core.holds import Hold, Step
from services.quarantine.ports import Deputy, Held, Sender
from tests.unit.quarantine.conftest import ACME, UMBRELLA, Place

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture(params=["memory", "local"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Both stores of this machine."""
    if request.param == "memory":
        return InMemoryObjects()
    return open_store(f"file://{tmp_path}/objects")


def make(objects: ObjectStore, keys: FakeKeys) -> tuple[StoredHolds, StoredSettings]:
    """The stores of a process."""
    return (
        StoredHolds(objects, keys.public, keys.identities),
        StoredSettings(objects, keys.public, keys.identities),
    )


def a_hold() -> Held:
    """A hold that has everything."""
    mail_id = MailId.new()
    step = Step(NOW, "lin@acme.example", "release", "note", 1, "wu@acme.example", "zip/random", forced=True)
    hold = Hold(
        mail_id, 2, NOW, NOW + timedelta(hours=1), "return", ("legal",), "alice@acme.example", levels=2, kind="hold",
        escalated_at=NOW, claimed_by="lin@acme.example", claimed_until=NOW, target="zip/random", steps=(step,), noticed=1,
    )  # fmt: skip
    trace = mail_pb2.Trace()
    trace.envelope.tenant, trace.envelope.mail_id = ACME, mail_id
    return Held(hold, trace)


async def test_hold_comes_back_as_it_was_put(objects: ObjectStore) -> None:
    """By another process too, listed and alone; every revision is kept."""
    keys = FakeKeys()
    holds, _ = make(objects, keys)
    put = await holds.put(ACME, a_hold(), actor="lin@acme.example")
    again, _ = make(objects, keys)
    found = await again.get(ACME, put.hold.id)
    assert found is not None
    assert (found.hold, found.trace) == (put.hold, put.trace)
    assert [h.hold for h in await again.all(ACME)] == [put.hold]
    assert await again.all(UMBRELLA) == []
    assert await again.get(UMBRELLA, put.hold.id) is None


async def test_of_two_writers_one_wins(objects: ObjectStore) -> None:
    """The same revision cannot be written twice."""
    keys = FakeKeys()
    one, two = make(objects, keys)[0], make(objects, keys)[0]
    held = await one.put(ACME, a_hold(), actor="x")
    results = await asyncio.gather(
        *(s.put(ACME, replace(held, hold=replace(held.hold, note=n)), actor="x") for s, n in ((one, "1"), (two, "2"))),
        return_exceptions=True,
    )
    assert sum(isinstance(r, Conflict | AlreadyExists) for r in results) == 1


async def test_settings_and_key_of_links(objects: ObjectStore) -> None:
    """Set, replaced, taken back; one key however many ask first, and another for another tenant."""
    keys = FakeKeys()
    settings = [make(objects, keys)[1] for _ in range(4)]
    found = await asyncio.gather(*(s.key(ACME) for s in settings))
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    assert await settings[0].key(UMBRELLA) != found[0]
    deputy = Deputy("lin@acme.example", "wu@acme.example", NOW)
    await settings[0].set_deputy(ACME, "lin@acme.example", deputy)
    assert list(await settings[1].deputies(ACME)) == [deputy]
    await settings[1].set_deputy(ACME, "lin@acme.example", None)
    await settings[1].set_deputy(ACME, "nobody@acme.example", None)
    assert list(await settings[0].deputies(ACME)) == []
    sender = Sender("s@out.example", "block", "lin@acme.example", NOW, "spam")
    await settings[0].set_sender(ACME, sender.address, sender, actor="lin@acme.example")
    assert list(await settings[1].senders(ACME)) == [sender]
    assert list(await settings[1].senders(UMBRELLA)) == []


class _Dies(InMemoryObjects):
    """A store from which a process can write so many more objects, and then nothing."""

    left = 10**6

    async def create(self, key: str, data: bytes) -> None:
        """See `ObjectStore`."""
        if self.left <= 0:
            raise Unavailable("the process is dead")
        self.left -= 1
        await super().create(key, data)


@pytest.mark.parametrize("writes", range(9))
async def test_death_after_any_write_loses_and_doubles_nothing(place: Place, writes: int) -> None:
    """Held, approved, released, told, noticed: whichever write was the last, the next process ends it once."""
    store = _Dies()
    place.objects = store
    place.restart()
    store.left = writes
    mail_id = MailId.new()

    async def live(work: Callable[[], Any]) -> None:
        try:
            await work()
        except Error:
            return

    async def hold() -> None:
        nonlocal mail_id
        mail_id = await place.decided(reviewers=("board",), levels=2)

    await live(hold)
    await live(lambda: place.announcer.tell([ACME]))
    await live(lambda: place.decide(mail_id, "release", by="lin@acme.example"))
    await live(lambda: place.decide(mail_id, "release", by="wu@acme.example"))
    # The next process, with what the broker gives again and the people ask again.
    store.left = 10**6
    place.restart()
    await place.quarantine.on_decided(place.message)
    (held,) = await place.store.all(ACME)
    for who in ("lin@acme.example", "wu@acme.example"):
        if held.hold.state == "held" and who not in {s.by for s in held.hold.steps}:
            held = await place.decide(MailId.parse(held.hold.mail_id), "release", by=who)
    await place.quarantine.resume([ACME])
    await place.quarantine.resume([ACME])
    (held,) = await place.store.all(ACME)
    assert (held.hold.state, held.hold.told) == ("released", True)
    assert [s.what for s in held.hold.steps] == ["release", "release"]
    assert len(await place.told("mail.released.")) == 1
    assert [o for o in await place.outcomes() if o[1] == "STATE_HELD"] == [(2, "STATE_HELD")]
