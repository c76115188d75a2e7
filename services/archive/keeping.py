"""Composition of the ingest log: days are sealed while the context lives, and proved and verified when asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from letterlock.archive.v1 import keep_pb2_grpc

from services.archive.adapters.keep_grpc import KeepServicer
from services.archive.config import ArchiveConfig
from services.archive.ingest import IngestLog
from services.archive.verify import Verifier
from services.common import log
from services.common.app import Context
from services.common.audit_client import RemoteAuditLog
from services.common.config import parse_duration
from services.common.errors import Error
from services.common.ids import TenantId
from services.common.sealing.keys import Identities, PublicKeys
from services.common.sealing.writers import Writers, load_signer

_log = log.get(__name__)


@asynccontextmanager
async def keeping(
    ctx: Context,
    public: PublicKeys,
    identities: Identities,
    trusted: Writers,
    tenants: Callable[[], AsyncIterator[TenantId]],
) -> AsyncIterator[IngestLog]:
    """Seal days and answer KeepService while the context lives."""
    audit = RemoteAuditLog.of(ctx)

    def keep_days(tenant: TenantId) -> int | None:
        found = ctx.control.directory.tenant(tenant)
        return days_of(found.retention) if found is not None else None

    signer = load_signer(ctx.settings, "archive")
    ingest = IngestLog(ctx.objects, public, identities, identities, trusted, signer, audit, keep_days=keep_days)
    ctx.rpc.add(keep_pb2_grpc.add_KeepServiceServicer_to_server, KeepServicer(ingest, Verifier(ctx.objects, ingest)))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(audit.close)
        sealing = asyncio.create_task(_seal(ingest, tenants, ctx.settings.of(ArchiveConfig).ingest_every))
        stack.push_async_callback(_cancel, sealing)
        yield ingest


def days_of(retention: str) -> int | None:
    """The days of a tenant's retention (`7y`); None where it is empty: mail is kept for ever."""
    try:
        return parse_duration(retention).days if retention else None
    except (ValueError, OverflowError):
        return None


async def _seal(ingest: IngestLog, tenants: Callable[[], AsyncIterator[TenantId]], every: timedelta) -> None:
    while True:
        try:
            async for tenant in tenants():
                try:
                    await ingest.seal_days(tenant)
                except Error as error:  # another tenant's days are sealed all the same
                    _log.warning("ingest.waits", tenant=tenant, code=error.code)
        except Exception as error:
            _log.error("ingest.failed", error=type(error).__name__)
        await asyncio.sleep(every.total_seconds())


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
