"""Retry state in the broker: a scheduled message per leg, and beside it what operators may see.

The schedule is what makes a retry happen and survives us; the bucket is its
shadow, for listing and for an operator's word. Lose the bucket and only the
list is empty until the next attempts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

from letterlock.delivery.v1 import delivery_pb2

from services.common import tracing
from services.common.bus import Bus
from services.common.ids import MailId, TenantId
from services.delivery.retry_state import next_attempt, parse

BUCKET = "queue"


def subject(tenant: TenantId) -> str:
    """Where a tenant's retries arrive when they are due."""
    return f"delivery.retry.{tenant}"


class BrokerQueue:
    """The queue of one installation."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._bucket = bus, bus.bucket(BUCKET)

    async def put(self, state: delivery_pb2.RetryState) -> None:
        """Keep it and deliver it at the earliest `next_attempt_at`; replaces what was kept for the leg."""
        await self.schedule(state, at=next_attempt(state))
        await self._bucket.put(_key(state.tenant, state.mail_id, state.leg), state.SerializeToString())

    async def schedule(self, state: delivery_pb2.RetryState, *, at: datetime) -> None:
        """Deliver it at `at`, in place of what was scheduled for the leg."""
        await self._bus.schedule(
            subject(TenantId(state.tenant)),
            state.SerializeToString(),
            at=at,
            key=f"{state.mail_id}.{state.leg}",
            headers=tracing.inject(),
        )

    async def get(self, tenant: TenantId, mail_id: MailId, leg: int) -> delivery_pb2.RetryState | None:
        """What is kept for a leg, as far as it is remembered."""
        entry = await self._bucket.get(_key(tenant, mail_id, leg))
        return None if entry is None or entry.value is None else parse(entry.value)

    async def remove(self, tenant: TenantId, mail_id: MailId, leg: int) -> None:
        """Forget a leg: it is done."""
        await self._bus.unschedule(subject(tenant), key=f"{mail_id}.{leg}")
        await self._bucket.delete(_key(tenant, mail_id, leg))

    async def keys(self, *, tenant: str = "", mail_id: str = "", after: str = "") -> list[str]:
        """The keys of what waits, sorted: by tenant, then by age."""
        prefix = f"{tenant}." if tenant else ""
        return sorted(
            k
            for k in await self._bucket.keys()
            if k.startswith(prefix) and k > after and (not mail_id or k.split(".")[1] == mail_id)
        )

    async def read(self, keys: list[str]) -> AsyncIterator[tuple[str, delivery_pb2.RetryState]]:
        """The states of `keys`, in order, without those that are gone."""
        for key in keys:
            entry = await self._bucket.get(key)
            if entry is not None and entry.value is not None:
                yield key, parse(entry.value)


def _key(tenant: str, mail_id: str, leg: int) -> str:
    return f"{tenant}.{mail_id}.{leg}"
