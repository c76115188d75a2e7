"""Private keys in memory: asked for once an hour, kept while the keeper is away, dropped when destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date

import pytest

from services.common.errors import NotFound, Unavailable
from services.common.ids import TenantId
from services.common.sealing import keys
from services.common.sealing.keys import Identities

DAY = date(2026, 11, 24)


class Source:
    """A keeper that counts and can fail."""

    def __init__(self) -> None:
        self.asked, self.error = 0, None

    error: Exception | None

    async def pipeline(self, day: date) -> Sequence[str]:
        """See `IdentitySource`."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        await asyncio.sleep(0)
        return [day.isoformat()]

    async def trace(self, tenant: TenantId) -> Sequence[str]:
        """See `IdentitySource`."""
        self.asked += 1
        return [str(self.asked)]


async def test_many_at_once_ask_once() -> None:
    """A burst after a start is one call."""
    source = Source()
    identities = Identities(source)
    assert len({tuple(a) for a in await asyncio.gather(*(identities.pipeline(DAY) for _ in range(20)))}) == 1
    assert source.asked == 1


async def test_keeper_away_is_no_harm_for_an_hour_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known stays; what is not raises."""
    source = Source()
    identities = Identities(source)
    await identities.pipeline(DAY)
    monkeypatch.setattr(keys, "_IDENTITY_SECONDS", -1.0)
    source.error = Unavailable()
    assert await identities.pipeline(DAY) == ["2026-11-24"]
    with pytest.raises(Unavailable):
        await identities.pipeline(date(2026, 1, 1))


async def test_destroyed_key_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next refresh the keeper says it is gone."""
    source = Source()
    identities = Identities(source)
    await identities.pipeline(DAY)
    monkeypatch.setattr(keys, "_IDENTITY_SECONDS", -1.0)
    source.error = NotFound()
    with pytest.raises(NotFound):
        await identities.pipeline(DAY)
    source.error = Unavailable()
    with pytest.raises(Unavailable):
        await identities.pipeline(DAY)


async def test_rotation_is_noticed_on_demand_but_not_at_any_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Junk that no key opens does not make a call each."""
    source, tenant = Source(), TenantId.new()
    identities = Identities(source)
    for _ in range(10):
        await identities.trace(tenant, newer=True)
    assert source.asked == 1
    monkeypatch.setattr(keys, "_NEWER_SECONDS", -1.0)
    await identities.trace(tenant, newer=True)
    assert source.asked == 2
