"""Composition of the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
from letterlock.audit.v1 import audit_pb2_grpc

from services.audit.adapters.grpc import AuditServicer
from services.audit.adapters.keys import StoredLogKeys
from services.audit.adapters.leases import Leases
from services.audit.adapters.store import StoredLogs
from services.audit.adapters.witness import HttpWitness
from services.audit.append import Log, Logs
from services.audit.config import AuditConfig
from services.audit.consume import Taking
from services.audit.read import Reading
from services.audit.witnessing import Witnessing
from services.common import rpc, tls
from services.common.app import Context
from services.common.components import TlsConfig
from services.common.errors import InvalidInput
from services.common.ids import INSTALLATION, TenantId
from services.common.sealing import keys
from services.common.sealing.factkeys import FactKeys
from services.common.sealing.writers import load_signer, load_writers
from services.common.tlog.policy import Policy
from services.common.tlog.policy import parse as parse_policy

_AT_ONCE = 256
_WITNESS_SECONDS = 10.0


@asynccontextmanager
async def build(ctx: Context) -> AsyncIterator[None]:
    """Keep the logs while the context lives; leaving it finishes what is being appended."""
    config = ctx.settings.of(AuditConfig)
    public = keys.PublicKeys(ctx.objects, load_writers(ctx.settings))
    identities = keys.connect(ctx)
    signer = load_signer(ctx.settings, "audit")
    store = StoredLogs(ctx.objects)
    log_keys = StoredLogKeys(ctx.objects, public, identities)
    logs = Logs(store, log_keys, config.origin, signer.public, signer.sign)
    async with AsyncExitStack() as stack:
        timeout = aiohttp.ClientTimeout(total=_WITNESS_SECONDS)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        policy = _policy(config.witness_policy)
        alarm = config.unwitnessed_alarm.total_seconds()
        witnessing = Witnessing(store, policy, HttpWitness(session), alarm=alarm)
        identity = tls.ensure(ctx.settings.of(TlsConfig).directory or ctx.settings.data / "tls", "audit")

        def connect(address: str) -> grpc.aio.Channel:
            return rpc.connect(address, identity, peer="audit")

        leases = Leases(ctx.bus.bucket("leases"), config.advertise)
        reading = Reading(logs, store, log_keys)
        servicer = AuditServicer(logs, reading, witnessing, leases, connect)
        ctx.rpc.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, servicer)
        seen: set[TenantId] = set()

        def in_use() -> list[Log]:
            """Those that are open, and each tenant's once: what was appended before a restart waits too."""
            for tenant in {INSTALLATION, *ctx.control.directory.tenants} - seen:
                seen.add(tenant)
                logs.of(tenant)
            return logs.opened()

        keeping = asyncio.create_task(witnessing.keep(in_use, config.witness_every.total_seconds()))
        stack.push_async_callback(_ended, keeping)
        taking = Taking(logs, FactKeys(ctx.bus.bucket("factkeys"), public, identities))
        await stack.enter_async_context(ctx.bus.consume("audit-entry", taking, concurrency=_AT_ONCE))
        yield


def _policy(path: Path | None) -> Policy:
    if path is None:
        return Policy()
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: {error}", field="audit.witness_policy") from error


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
