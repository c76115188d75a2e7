"""Composition of the archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from letterlock.archive.v1 import archive_pb2_grpc

from services.archive import fates
from services.archive.adapters.grpc import ArchiveServicer
from services.archive.adapters.opensearch import OpenSearchIndex
from services.archive.config import ArchiveConfig
from services.archive.coverage import Coverage
from services.archive.index import IndexFeed
from services.archive.keeping import keeping
from services.archive.look import Look
from services.archive.record import CONSUMERS, Recorder, taking
from services.archive.searching import searching
from services.archive.segments import Segments
from services.archive.status import Histories
from services.archive.sweeper import Sweeper
from services.common.app import Context
from services.common.errors import InvalidInput
from services.common.facts import Facts
from services.common.ids import TenantId
from services.common.mailreader import MailReader
from services.common.sealing import keys, writers
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.keeper import RemoteKeeper


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Record, index, sweep and answer while the context lives; leaving it records what was taken."""
    config = ctx.settings.of(ArchiveConfig)
    if not config.opensearch_url:
        raise InvalidInput("LETTERLOCK_ARCHIVE__OPENSEARCH_URL: required", field="archive.opensearch_url")
    trusted = writers.load_writers(ctx.settings)
    keeper = RemoteKeeper.of(ctx)
    public, identities = keys.PublicKeys(ctx.objects, trusted), keys.Identities(keeper)
    reader = MailReader(ctx.objects, identities, trusted)
    facts = Facts(ctx.bus, FactKeys(ctx.bus.bucket("factkeys"), public, identities), reader)

    index = OpenSearchIndex(config)
    segments = Segments(ctx.objects, public, identities)
    feed = IndexFeed(index, segments, window=config.index_window)
    look = Look(index, segments, feed)
    recorder = Recorder(segments, feed.submit, window=config.batch_window, limit=config.batch_records)
    sweeper = Sweeper(
        ctx.objects,
        ctx.bus,
        index,
        look,
        reader,
        facts,
        keeper,
        sweep_after=config.sweep_after,
        orphan_after=config.orphan_after,
    )
    servicer = ArchiveServicer(
        Histories(look, segments, reader), Coverage(ctx.objects, index, look, sweeper.planted), feed
    )
    ctx.rpc.add(archive_pb2_grpc.add_ArchiveServiceServicer_to_server, servicer)
    ctx.health.add("index", index.check)
    ctx.health.add("keys", identities.check)

    async def tenants() -> AsyncIterator[TenantId]:
        for tenant in await segments.tenants():
            yield tenant

    async with AsyncExitStack() as stack:
        stack.push_async_callback(index.close)
        stack.push_async_callback(keeper.close)
        await stack.enter_async_context(feed.running())
        stack.push_async_callback(recorder.drain)
        take = taking(facts, recorder)
        for consumer in CONSUMERS:
            await stack.enter_async_context(ctx.bus.consume(consumer, take, concurrency=config.concurrency))
        await stack.enter_async_context(ctx.bus.serve(fates.SUBJECT, fates.answering(look)))
        content = searching(ctx, reader, facts, public, identities, tenants, sweeper.planted)
        indexed = await stack.enter_async_context(content)
        ingest = await stack.enter_async_context(keeping(ctx, public, identities, trusted, tenants))
        sweeper.content = lambda tenant, day: indexed.complete(tenant, day) and ingest.complete(tenant, day)
        sweeping = asyncio.create_task(sweeper.run(tenants))
        stack.push_async_callback(_cancel, sweeping)
        yield


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
