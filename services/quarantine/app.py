"""Composition of the quarantine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from letterlock.quarantine.v1 import quarantine_pb2_grpc

from services.common import rpc, telemetry
from services.common.app import Context
from services.common.audit_client import RemoteAuditLog
from services.common.audit_entries import AuditTrail
from services.common.bus import Bus
from services.common.components import PortalConfig
from services.common.errors import Error, InvalidInput
from services.common.facts import Facts
from services.common.notices import Templates
from services.common.sealing import keys
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.writers import load_signer, load_writers
from services.common.systemmail import SystemMail, utc_now
from services.quarantine.adapters.grpc import HoldServicer
from services.quarantine.adapters.remote import AuditedReveal, RemoteInspector
from services.quarantine.adapters.settings import StoredSettings
from services.quarantine.adapters.store import StoredHolds
from services.quarantine.adapters.templates import NoticeServicer
from services.quarantine.announce import Announcer
from services.quarantine.config import QuarantineConfig
from services.quarantine.fitness import Fitness
from services.quarantine.hold import Quarantine
from services.quarantine.links import Links
from services.quarantine.people import People
from services.quarantine.review import Review

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
    settings = StoredSettings(ctx.objects, public, identities)
    people = People(settings)
    links = Links(settings, ctx.objects, ctx.settings.of(PortalConfig).url, now=utc_now)
    facts = Facts(ctx.bus, fact_keys)
    policy = rpc.connect_service(ctx.settings, me=ctx.name, peer="policy")
    encryption = rpc.connect_service(ctx.settings, me=ctx.name, peer="encryption")
    templates = Templates(ctx.objects)
    announcer = Announcer(
        store,
        people,
        templates,
        SystemMail(
            ctx.objects,
            public,
            load_signer(ctx.settings, "quarantine"),
            facts,
            None,
            lambda: ctx.control.directory,
            now=utc_now,
        ),
        links,
        ctx.control.store,
        lambda: ctx.control.directory,
        hostname=config.hostname,
        window=config.notice_window,
        digest_hours=_hours(config.digest_hours),
        now=utc_now,
    )
    async with AsyncExitStack() as stack:
        trail = await stack.enter_async_context(AuditTrail(ctx.bus, fact_keys).running())
        stack.push_async_callback(policy.close)
        stack.push_async_callback(encryption.close)
        audit = RemoteAuditLog.of(ctx)
        stack.push_async_callback(audit.close)
        quarantine = Quarantine(store, facts, ctx.bus, trail, Fitness(RemoteInspector(policy)), changed=announcer.kick)
        review = Review(store, quarantine, people, AuditedReveal(encryption, audit))
        holds = HoldServicer(review, people, settings, links)
        ctx.rpc.add(quarantine_pb2_grpc.add_HoldServiceServicer_to_server, holds)
        ctx.rpc.add(quarantine_pb2_grpc.add_NoticeServiceServicer_to_server, NoticeServicer(templates))
        stack.push_async_callback(_ended, asyncio.create_task(announcer.keep_telling(config.resume_every)))
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


def _hours(named: tuple[str, ...]) -> tuple[int, ...]:
    hours = [int(h) if h.isascii() and h.isdigit() else -1 for h in named]
    if any(not 0 <= h <= 23 for h in hours):
        raise InvalidInput("hours are numbers from 0 to 23", field="quarantine.digest_hours")
    return tuple(hours)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
