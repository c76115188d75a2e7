"""Composition of what makes mails findable, and of what finds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager

from letterlock.archive.v1 import search_pb2_grpc

from services.archive.adapters.content_index import OpenSearchContentIndex
from services.archive.adapters.custody import RemoteCustody
from services.archive.adapters.search_grpc import SearchServicer
from services.archive.config import ArchiveConfig
from services.archive.content.extracting import LateExtractor
from services.archive.content.feed import ContentFeed
from services.archive.content.segments import BlindSegments
from services.archive.content.sweep import ContentSweeper, Reads
from services.archive.content.take import CONSUMER, ContentIndexer, taking
from services.archive.granted import Granted
from services.archive.manifest import Manifest
from services.archive.record import Opens
from services.archive.results import Results
from services.archive.reveal import Reveal
from services.archive.segments import TraceIdentities, TraceKeys
from services.common.app import Context
from services.common.audit_client import RemoteAuditLog
from services.common.bus.streams import CONSUMERS
from services.common.components import ExtractionConfig
from services.common.ids import MailId, TenantId


@asynccontextmanager
async def searching(
    ctx: Context,
    reader: Reads,
    facts: Opens,
    public: TraceKeys,
    identities: TraceIdentities,
    tenants: Callable[[], AsyncIterator[TenantId]],
    planted: Collection[tuple[TenantId, MailId]],
) -> AsyncIterator[ContentSweeper]:
    """Index content and answer SearchService while the context lives."""
    config = ctx.settings.of(ArchiveConfig)
    custody, audit = RemoteCustody.of(ctx), RemoteAuditLog.of(ctx)
    index, segments = OpenSearchContentIndex(config), BlindSegments(ctx.objects)
    extract = LateExtractor(ctx.settings.of(ExtractionConfig))
    feed = ContentFeed(index, segments, tenants, window=config.index_window)
    indexer = ContentIndexer(
        custody, segments, extract, feed.submit, window=config.content_window, threads=config.content_threads
    )
    sweeper = ContentSweeper(ctx.objects, index, indexer, reader, after=config.sweep_after, planted=planted)
    reveal = Reveal(
        Granted(ctx.control),
        audit,
        custody,
        index,
        Manifest(ctx.objects),
        Results(ctx.objects, public, identities),
        most_results=config.most_results,
        looks=config.looks_per_hour,
        exports=config.exports_per_hour,
    )
    ctx.rpc.add(search_pb2_grpc.add_SearchServiceServicer_to_server, SearchServicer(reveal))
    async with AsyncExitStack() as stack:
        for part in (index, custody, audit, extract):
            stack.push_async_callback(part.close)
        await stack.enter_async_context(feed.running())
        stack.push_async_callback(indexer.drain)
        if CONSUMER in CONSUMERS:
            take = taking(facts, indexer)
            await stack.enter_async_context(ctx.bus.consume(CONSUMER, take, concurrency=config.concurrency))
        sweeping = asyncio.create_task(sweeper.run(tenants))
        stack.push_async_callback(_cancel, sweeping)
        yield sweeper


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
