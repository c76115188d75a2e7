"""Composition of the quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from letterlock.quarantine.v1 import quarantine_pb2_grpc

from services.common import telemetry
from services.common.app import Context
from services.common.audit_entries import AuditTrail
from services.common.bus import Bus
from services.common.errors import Error
from services.common.facts import Facts
from services.common.sealing import keys
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.writers import load_writers
from services.quarantine.adapters.grpc import HoldServicer
from services.quarantine.adapters.store import StoredHolds
from services.quarantine.config import QuarantineConfig
from services.quarantine.hold import Quarantine

_CONSUMERS = ("quarantine-decided", "quarantine-due")
_LAG_SECONDS = 5.0


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Hold mail and serve its reviewers while the context lives; leaving it finishes what runs."""
    config = ctx.settings.of(QuarantineConfig)
    public = keys.PublicKeys(ctx.objects, load_writers(ctx.settings))
    identities = keys.connect(ctx)
    fact_keys = FactKeys(ctx.bus.bucket("factkeys"), public, identities)
    store = StoredHolds(ctx.objects, public, identities)
    async with AsyncExitStack() as stack:
        trail = await stack.enter_async_context(AuditTrail(ctx.bus, fact_keys).running())
        quarantine = Quarantine(store, Facts(ctx.bus, fact_keys), ctx.bus, trail)
        ctx.rpc.add(quarantine_pb2_grpc.add_HoldServiceServicer_to_server, HoldServicer(store, quarantine))
        resuming = asyncio.create_task(
            quarantine.keep_resuming(lambda: list(ctx.control.directory.tenants), config.resume_every)
        )
        stack.push_async_callback(_ended, resuming)
        stack.push_async_callback(_ended, asyncio.create_task(_watch_lag(ctx.bus)))
        await stack.enter_async_context(
            ctx.bus.consume("quarantine-decided", quarantine.on_decided, concurrency=config.concurrency)
        )
        await stack.enter_async_context(ctx.bus.consume("quarantine-due", quarantine.on_due))
        yield


async def _watch_lag(bus: Bus) -> None:
    while True:
        for consumer in _CONSUMERS:
            with suppress(Error):  # the broker is away: the gauge keeps its last value, readiness says the rest
                telemetry.QUEUE_LAG.labels(consumer).set(await bus.lag(consumer))
        await asyncio.sleep(_LAG_SECONDS)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
